//! ServiceCIDR: a range from which Services get their addresses.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/service-cidr-v1/>.

use machinery::field::Problems;
use machinery::{tree, validation};
use serde_json::Value;

use super::GROUP;
use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, Scope, Subresource};
use crate::rule;
use crate::status;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "ServiceCIDR",
    plural: "servicecidrs",
    singular: "servicecidr",
    scope: Scope::Cluster,
    definition: "io.k8s.api.networking.v1.ServiceCIDR",
    subresources: &[Subresource::status("ServiceCIDR")],
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate,
    validate_update,
    columns: &[
        column::NAME,
        column::text("CIDRs", "CIDRs defines the IP blocks in CIDR notation from which to assign service cluster IPs."),
        column::AGE,
    ],
    cells: |object, now| {
        let ranges: Vec<_> = tree::items(object, "spec.cidrs").iter().filter_map(Value::as_str).collect();
        vec![column::name(object), ranges.join(",").into(), column::age(object, now)]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let ranges = root.get("spec.cidrs");
    let spec = ranges.with(&object["spec"]);
    match ranges.len() {
        0 => return ranges.required(problems, "at least one CIDR required"),
        1 => {}
        2 => {
            let family = |i| validation::parse_cidr(ranges.index(i).str()).map(|(address, _)| address.is_ipv6());
            if family(0).is_none() || family(1).is_none() || family(0) == family(1) {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                return spec.invalid(problems, detail);
            }
        }
        _ => return spec.invalid(problems, "may only hold up to 2 values"),
    }
    for range in ranges.items() {
        rule::cidr(&range, problems);
    }
}

/// A second range, of the other family, may come; else they stay.
fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    let (root, before) = (Field::root(new), Field::root(old));
    let (ranges, before) = (root.get("spec.cidrs"), before.get("spec.cidrs"));
    if ranges.len() != before.len() && !(before.len() == 1 && ranges.len() == 2) {
        return ranges.invalid(problems, rule::IMMUTABLE);
    }
    for (range, old) in ranges.items().zip(before.items()) {
        if range.str() != old.str() {
            range.invalid(problems, rule::IMMUTABLE);
        }
    }
}
