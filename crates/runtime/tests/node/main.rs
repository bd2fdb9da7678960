//! The runtime with real containers: needs root. Each test has folders, a cgroup and an address range of its own.
//!
//! `cargo test -p runtime --test node [FILTER]`. The image is made from Debian's busybox, if there is one.
#![allow(clippy::unwrap_used)]

mod confinement;
mod life;
mod more;
mod node;
mod sessions;

type Body = fn(&node::Node) -> futures::future::BoxFuture<'_, ()>;
type Test = (&'static str, Body);

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$((concat!(stringify!($module), "::", stringify!($name)), (|node| Box::pin($module::$name(node))) as Body)),*]
    };
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == runtime::shim::ROLE) {
        runtime::shim::main(args);
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root for namespaces, mounts and cgroups");
        return;
    }
    let filter = args.into_iter().find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let all: Vec<Test> = tests![
        confinement::a_container_is_confined,
        confinement::masks_go_where_that_was_asked,
        confinement::nothing_is_mounted_inside_proc,
        confinement::volumes_propagate_as_asked,
        confinement::bidirectional_mounts_show_outside,
        confinement::host_ports_come_and_go,
        confinement::the_holder_of_shared_process_ids_leads_nowhere,
        confinement::null_is_the_containers_own,
        confinement::a_read_only_root_has_read_only_files,
        confinement::extra_processes_are_as_ready_to_be_killed,
        life::a_container_prints_and_ends,
        life::a_container_is_stopped_and_removed,
        life::a_wrong_command_is_reported,
        life::containers_outlive_the_runtime,
        life::a_killed_shim_is_buried,
        life::limits_and_users_hold,
        life::other_users_of_the_host_see_no_files,
        more::too_much_memory_is_reported,
        more::processes_and_memory_are_shared_in_a_pod,
        more::traffic_is_counted,
        more::logs_are_reopened,
        more::many_pods_at_once,
        more::one_after_the_other,
        sessions::exec_sync_answers,
        sessions::exec_over_websocket,
        sessions::a_terminal_resizes,
        sessions::attach_sees_output_and_gives_input,
        sessions::ports_are_forwarded,
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (name, test) in all.into_iter().filter(|(name, _)| name.contains(&filter)) {
        eprintln!("test {name} ...");
        let started = std::time::Instant::now();
        runtime.block_on(async {
            let mut node = node::Node::new(name).await;
            node.open().await;
            test(&node).await;
            node.close().await;
        });
        eprintln!("test {name} ... ok, {} ms", started.elapsed().as_millis());
    }
}
