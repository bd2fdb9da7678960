//! What the machine says about itself: processors, memory, names, versions.

use std::collections::BTreeMap;
use std::fs;

use k8s_openapi::api::core::v1::NodeSystemInfo;
use rpc::cri::{ListImagesRequest, StatusRequest, VersionResponse};
use tonic::Request;

use super::cri::Runtime;
use crate::Config;
use crate::plan::node::{Image, Machine};

fn text(path: &str) -> String {
    fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default()
}

/// A value of `/etc/os-release`.
fn os_release(key: &str) -> String {
    let content = [text("/etc/os-release"), text("/usr/lib/os-release")].join("\n");
    let prefix = format!("{key}=");
    let value = content.lines().find_map(|l| l.strip_prefix(&prefix)).unwrap_or_default();
    value.trim_matches('"').to_owned()
}

pub fn memory_bytes() -> i64 {
    let content = text("/proc/meminfo");
    let line = content.lines().find_map(|l| l.strip_prefix("MemTotal:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<i64>().unwrap_or(0) * 1024
}

pub fn cpus() -> i64 {
    std::thread::available_parallelism().ok().and_then(|n| i64::try_from(n.get()).ok()).unwrap_or(1)
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Bytes of each huge page size that the kernel has set aside.
fn hugepages() -> BTreeMap<String, i64> {
    let folders = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let sizes = folders.filter_map(|folder| {
        let name = folder.file_name().into_string().ok()?;
        let kib: i64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let count: i64 = text(&folder.path().join("nr_hugepages").to_string_lossy()).parse().ok()?;
        let size = if kib % (1 << 20) == 0 { format!("{}Gi", kib >> 20) } else { format!("{}Mi", kib >> 10) };
        Some((size, count * kib * 1024))
    });
    sizes.collect()
}

fn disk_bytes(path: &str) -> i64 {
    let stat = rustix::fs::statvfs(path).ok();
    stat.and_then(|s| i64::try_from(s.f_blocks * s.f_frsize).ok()).unwrap_or(0)
}

/// All that does not change while the node runs.
pub fn look(config: &Config, runtime: &VersionResponse) -> Machine {
    let uname = rustix::system::uname();
    let info = NodeSystemInfo {
        machine_id: text("/etc/machine-id"),
        system_uuid: text("/sys/class/dmi/id/product_uuid"),
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        kernel_version: uname.release().to_string_lossy().into_owned(),
        os_image: os_release("PRETTY_NAME"),
        container_runtime_version: format!("{}://{}", runtime.runtime_name, runtime.runtime_version),
        kubelet_version: config.version.clone(),
        operating_system: "linux".into(),
        architecture: arch().into(),
        ..NodeSystemInfo::default()
    };
    Machine {
        name: config.node_name.clone(),
        ips: config.node_ips.iter().map(ToString::to_string).collect(),
        arch: arch().into(),
        cpus: cpus(),
        memory_bytes: memory_bytes(),
        ephemeral_bytes: disk_bytes(&config.folders.kubelet),
        hugepages: hugepages(),
        pods: config.pods_max,
        reserved: config.reserved.clone(),
        info,
        port: i32::from(config.port),
        unready: vec!["container runtime status check may not have completed yet".into()],
        images: Vec::new(),
    }
}

/// What keeps the runtime or its network from being ready, in upstream's words; empty when both are.
pub async fn unready(runtime: &Runtime) -> Vec<String> {
    let answer = match runtime.service.status(Request::new(StatusRequest { verbose: false })).await {
        Ok(answer) => answer.into_inner(),
        Err(e) => return vec![format!("container runtime is down: {}", e.message())],
    };
    let conditions = answer.status.unwrap_or_default().conditions;
    let mut out = Vec::new();
    for (name, word) in
        [("RuntimeReady", "container runtime not ready"), ("NetworkReady", "container runtime network not ready")]
    {
        match conditions.iter().find(|c| c.r#type == name) {
            Some(c) if c.status => {}
            Some(c) => out.push(format!("{word}: {name}=false reason:{} message:{}", c.reason, c.message)),
            None => out.push(format!("{word}: {name} is not told")),
        }
    }
    out
}

pub async fn images(runtime: &Runtime) -> Vec<Image> {
    let answer = runtime.images.list_images(Request::new(ListImagesRequest { filter: None })).await;
    let images = answer.map(|a| a.into_inner().images).unwrap_or_default();
    let named = images.into_iter().map(|i| Image { names: [i.repo_digests, i.repo_tags].concat(), bytes: i.size });
    named.collect()
}
