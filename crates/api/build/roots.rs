//! The visible table of every definition that is served: one word per kind; what they refer to comes along.

use k8s_openapi::{ListableResource, Resource};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

/// A kind, and the kind of its list where it has one.
pub struct Root {
    pub definition: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list: Option<String>,
}

pub struct Roots {
    pub roots: Vec<Root>,
    /// JSON schemas by definition.
    pub definitions: Map<String, Value>,
}

macro_rules! each {
    ($make:ident, $to:expr, $generator:expr; $($($segment:ident)::+: $($kind:ident)+;)+) => {
        $({
            use k8s_openapi::$($segment)::+ as module;
            $( $to.push($make::<module::$kind>($generator)); )+
        })+
    };
}

pub fn roots() -> Roots {
    let mut generator = SchemaSettings::default().into_generator();
    let mut roots = Vec::new();
    listed(&mut roots, &mut generator);
    plain(&mut roots, &mut generator);
    Roots { roots, definitions: generator.take_definitions(true) }
}

fn listed(roots: &mut Vec<Root>, generator: &mut SchemaGenerator) {
    each! { with_list, roots, generator;
        api::core::v1: ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolumeClaim
            PersistentVolume Pod PodTemplate ReplicationController ResourceQuota Secret ServiceAccount Service;
        api::admissionregistration::v1: MutatingAdmissionPolicy MutatingAdmissionPolicyBinding
            MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
            ValidatingWebhookConfiguration;
        apiextensions_apiserver::pkg::apis::apiextensions::v1: CustomResourceDefinition;
        kube_aggregator::pkg::apis::apiregistration::v1: APIService;
        api::apps::v1: ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet;
        api::autoscaling::v1: HorizontalPodAutoscaler;
        api::autoscaling::v2: HorizontalPodAutoscaler;
        api::batch::v1: CronJob Job;
        api::certificates::v1: CertificateSigningRequest;
        api::coordination::v1: Lease;
        api::discovery::v1: EndpointSlice;
        api::events::v1: Event;
        api::flowcontrol::v1: FlowSchema PriorityLevelConfiguration;
        api::networking::v1: IngressClass Ingress IPAddress NetworkPolicy ServiceCIDR;
        api::node::v1: RuntimeClass;
        api::policy::v1: PodDisruptionBudget;
        api::rbac::v1: ClusterRoleBinding ClusterRole RoleBinding Role;
        api::resource::v1: DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice;
        api::scheduling::v1: PriorityClass;
        api::storage::v1: CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass;
    }
}

/// Kinds without lists, and definitions that discovery and errors use.
fn plain(roots: &mut Vec<Root>, generator: &mut SchemaGenerator) {
    each! { without_list, roots, generator;
        api::core::v1: Binding;
        api::policy::v1: Eviction;
        api::autoscaling::v1: Scale;
        api::authentication::v1: TokenRequest SelfSubjectReview TokenReview;
        api::authorization::v1: LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
            SubjectAccessReview;
        apimachinery::pkg::apis::meta::v1: Status APIGroup APIGroupList APIResourceList APIVersions;
    }
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>();
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::version::Info>();
    roots.push(Root {
        definition: "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions".into(),
        group: String::new(),
        version: "v1".into(),
        kind: "DeleteOptions".into(),
        list: None,
    });
}

fn with_list<T: JsonSchema + ListableResource>(generator: &mut SchemaGenerator) -> Root {
    Root { list: Some(T::LIST_KIND.to_owned()), ..without_list::<T>(generator) }
}

fn without_list<T: JsonSchema + Resource>(generator: &mut SchemaGenerator) -> Root {
    generator.subschema_for::<T>();
    Root {
        definition: T::schema_name().into_owned(),
        group: T::GROUP.to_owned(),
        version: T::VERSION.to_owned(),
        kind: T::KIND.to_owned(),
        list: None,
    }
}
