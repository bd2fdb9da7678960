//! What a cluster leaves on the machine after `kybern delete`: nothing, also after `kill -9` of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::{packages, product, shell};

const CLUSTER: &str = "leftovers";
/// Where a program could leave files.
const FOLDERS: &[&str] = &["/run", "/var/lib", "/var/log", "/etc", "/sys/fs/cgroup"];
/// What other programs change while the check runs.
const NOT_OURS: &[&str] = &["/var/lib/apt", "/var/lib/dpkg", "/var/log/apt", "/var/cache", "/run/lock"];

/// Compares before `up` and after `delete`, once in peace and once after everything was killed.
pub fn run() -> Result<()> {
    packages::ensure(packages::TEST)?;
    let kybern = product::build()?;
    let kybern = kybern.to_string_lossy();
    let before = machine()?;
    for violent in [false, true] {
        shell::run(&kybern, &["up", "--name", CLUSTER, "--api-port", "16443"])?;
        shell::run(&kybern, &["image", "hello", "--name", CLUSTER])?;
        let context = format!("kybern-{CLUSTER}");
        let pod = ["kubectl", "--context", &context, "run", "hello", "--image=kybern.io/hello:latest"];
        shell::run(&kybern, &pod)?;
        let ready = ["kubectl", "--context", &context, "wait", "--for=condition=Ready", "pod/hello", "--timeout=60s"];
        shell::run(&kybern, &ready)?;
        if violent {
            kill_everything()?;
        }
        shell::run(&kybern, &["delete", "--name", CLUSTER])?;
        compare(&before, &machine()?)?;
    }
    println!("nothing is left");
    Ok(())
}

fn kill_everything() -> Result<()> {
    let find = format!("cat $(find /sys/fs/cgroup -path '*kybern-{CLUSTER}*' -name cgroup.procs) | sort -u");
    let processes = shell::output("sh", &["-c", &find], Path::new("/"))?;
    let list: Vec<&str> = processes.lines().collect();
    if list.is_empty() {
        bail!("no process of the cluster was found");
    }
    shell::output("sh", &["-c", &format!("kill -9 {}; true", list.join(" "))], Path::new("/"))?;
    Ok(())
}

/// Everything that a cluster could leave, by what it is.
fn machine() -> Result<BTreeMap<&'static str, BTreeSet<String>>> {
    let lines = |line: &str| -> Result<BTreeSet<String>> {
        Ok(shell::output("sh", &["-c", line], Path::new("/"))?.lines().map(str::to_owned).collect())
    };
    let mut found = BTreeMap::new();
    found.insert("processes", lines("ps -eo args= | grep -E '[k]ybern (supervise|server|agent|shim)' || true")?);
    found.insert("mounts", lines("awk '{print $5}' /proc/self/mountinfo")?);
    found.insert("network namespaces", lines("lsns -t net -n -o NS")?);
    found.insert("links", lines("ip -o link | awk '{print $2}'")?);
    found.insert("addresses", lines("ip -o addr | awk '{print $2, $4}'")?);
    found.insert("routes", lines("ip route show table all")?);
    found.insert("rules", lines("ip rule")?);
    found.insert("nftables", lines("nft list ruleset")?);
    let sysctls = "find /proc/sys/net/ipv4 /proc/sys/net/core /proc/sys/net/netfilter -type f -perm -444 \
        | xargs grep -sH . | grep -vE 'nf_conntrack_count|/route/flush'";
    found.insert("sysctls", lines(sysctls)?);
    let mut files = BTreeSet::new();
    FOLDERS.iter().for_each(|folder| list(Path::new(folder), &mut files));
    found.insert("files", files);
    let config = std::env::var("HOME").map(|home| format!("{home}/.kube/config")).unwrap_or_default();
    let entries = fs::read_to_string(config).unwrap_or_default();
    found.insert("kubeconfig", entries.lines().filter(|line| line.contains(CLUSTER)).map(str::to_owned).collect());
    Ok(found)
}

fn list(folder: &Path, files: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = path.display().to_string();
        // Files of cgroups come and go with their folders.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if NOT_OURS.iter().any(|other| name.starts_with(other)) || (name.starts_with("/sys/") && !is_folder) {
            continue;
        }
        files.insert(name);
        if is_folder {
            list(&path, files);
        }
    }
}

fn compare(
    before: &BTreeMap<&'static str, BTreeSet<String>>,
    after: &BTreeMap<&'static str, BTreeSet<String>>,
) -> Result<()> {
    let mut left = Vec::new();
    for (what, now) in after {
        let then = &before[what];
        left.extend(now.difference(then).map(|line| format!("{what}: left: {line}")));
        left.extend(then.difference(now).map(|line| format!("{what}: gone: {line}")));
    }
    if left.is_empty() { Ok(()) } else { bail!("{}", left.join("\n")) }
}
