//! The shim's event loop and state. All of its changes happen here, one event at a time.
//! Not here: what forked children do, and how packets are framed.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::creator::{self, Streams};
use super::log::{Log, Output};
use super::outputs::{Container, Drained};
use super::protocol::{Answer, Call, ContainerState, End, Exec, Message, Request, Setup, Start, Stream, VERSION};
use super::replies::{Outcome, Pending, Work};
use super::{entrant, process, wire};

const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const FIRST_TOKEN: u64 = 2;
/// Events taken at once.
const BATCH: usize = 32;

type Refusal = String;

/// A stream of a container that is read.
struct Source {
    container: String,
    output: Output,
    fd: OwnedFd,
}

/// An extra process, and the connection that wants to hear of its end.
struct Extra {
    name: String,
    connection: u64,
}

pub struct Machine {
    epoll: OwnedFd,
    socket_path: PathBuf,
    listener: OwnedFd,
    signals: OwnedFd,
    next_token: u64,
    connections: BTreeMap<u64, OwnedFd>,
    sources: BTreeMap<u64, Source>,
    pending: BTreeMap<u64, Pending>,
    containers: BTreeMap<String, Container>,
    /// By process id.
    extras: BTreeMap<i32, Extra>,
    /// Children that ended before the report that names them came.
    early: BTreeMap<i32, i32>,
    pause: Option<i32>,
    is_done: bool,
    /// Did something seldom since it last gave memory back.
    was_busy: bool,
}

impl Machine {
    pub fn new(socket_path: PathBuf, listener: OwnedFd, signals: OwnedFd) -> io::Result<Machine> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, &signals, EventData::new_u64(SIGNALS), EventFlags::IN)?;
        Ok(Machine {
            epoll,
            socket_path,
            listener,
            signals,
            next_token: FIRST_TOKEN,
            connections: BTreeMap::new(),
            sources: BTreeMap::new(),
            pending: BTreeMap::new(),
            containers: BTreeMap::new(),
            extras: BTreeMap::new(),
            early: BTreeMap::new(),
            pause: None,
            is_done: false,
            was_busy: true,
        })
    }

    /// Serves until told to shut down.
    pub fn run(mut self, first: OwnedFd) -> io::Result<()> {
        process::set_nonblocking(&first)?;
        self.add_connection(first)?;
        let text = process::Text::of_this_process();
        while !self.is_done {
            if self.was_busy && self.pending.is_empty() {
                self.was_busy = false;
                text.give_back();
            }
            let mut events = Vec::with_capacity(BATCH);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(problem) => return Err(problem.into()),
            }
            for event in events {
                self.event(event.data.u64());
            }
        }
        let _ = std::fs::remove_file(&self.socket_path);
        Ok(())
    }

    fn watch(&mut self, fd: &OwnedFd) -> io::Result<u64> {
        let token = self.next_token;
        self.next_token += 1;
        epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)?;
        Ok(token)
    }

    fn add_connection(&mut self, socket: OwnedFd) -> io::Result<()> {
        let token = self.watch(&socket)?;
        self.connections.insert(token, socket);
        Ok(())
    }

    fn event(&mut self, token: u64) {
        // Only output is pumped often enough for the pages to be worth keeping.
        self.was_busy |= !self.sources.contains_key(&token);
        match token {
            LISTENER => self.accept(),
            SIGNALS => self.children_ended(),
            token if self.sources.contains_key(&token) => self.readable(token),
            token if self.pending.contains_key(&token) => self.reported(token),
            token => self.asked(token),
        }
    }

    fn accept(&mut self) {
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        // A connection that broke off before it was taken is nobody's.
        if let Ok(socket) = rustix::net::accept_with(&self.listener, flags) {
            let _ = self.add_connection(socket);
        }
    }

    fn asked(&mut self, token: u64) {
        let Some(socket) = self.connections.get(&token) else { return };
        let packet = match wire::receive(socket) {
            Ok((bytes, _)) if !bytes.is_empty() => bytes,
            Err(Errno::AGAIN | Errno::INTR) => return,
            _ => {
                self.connections.remove(&token);
                return;
            }
        };
        match serde_json::from_slice::<Request>(&packet) {
            Ok(request) => {
                if let Some((answer, descriptors)) = self.call(token, request.id, request.call) {
                    self.reply(token, request.id, answer, &descriptors);
                }
            }
            // An unreadable packet has no id to answer to; a caller that newer must ask for the version first.
            Err(_) => drop(self.connections.remove(&token)),
        }
    }

    /// Sends to one connection. One that does not read is closed: it connects again and asks for the state.
    fn send(&mut self, token: u64, message: &Message, descriptors: &[BorrowedFd<'_>]) {
        let Some(socket) = self.connections.get(&token) else { return };
        let bytes = serde_json::to_vec(message).unwrap_or_default();
        if wire::send(socket, &bytes, descriptors).is_err() {
            self.connections.remove(&token);
        }
    }

    fn reply(&mut self, token: u64, id: u64, answer: Result<Answer, Refusal>, descriptors: &[OwnedFd]) {
        let descriptors: Vec<BorrowedFd> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        self.send(token, &Message::Reply { id, answer }, &descriptors);
    }

    /// Carries out a call. `None` is answered later.
    fn call(&mut self, connection: u64, request: u64, call: Call) -> Option<(Result<Answer, Refusal>, Vec<OwnedFd>)> {
        let plain = |result: Result<Answer, Refusal>| Some((result, Vec::new()));
        match call {
            Call::Setup(setup) => plain(self.setup(&setup)),
            Call::State => plain(Ok(self.state())),
            Call::Start(start) => self.start(connection, request, &start).err().and_then(|problem| plain(Err(problem))),
            Call::Exec(exec) => self.exec(connection, request, &exec).err().and_then(|problem| plain(Err(problem))),
            Call::Signal { container, signal, all } => plain(self.signal(&container, signal, all)),
            Call::SignalExec { exec, signal } => plain(self.signal_exec(&exec, signal)),
            Call::Forget { container } => plain(self.forget(&container)),
            Call::ReopenLog { container } => plain(self.reopen_log(&container)),
            Call::CloseInput { container } => {
                if let Some(container) = self.containers.get_mut(&container) {
                    container.stdin = None;
                }
                plain(Ok(Answer::Done))
            }
            Call::Attach { container } => Some(with_streams(self.attach(&container))),
            Call::Connect { port, ipv6 } => {
                Some(with_streams(connect(port, ipv6).map(|socket| vec![(Stream::Socket, socket)]).map_err(text)))
            }
            Call::Shutdown => {
                self.shut_down();
                plain(Ok(Answer::Done))
            }
        }
    }

    fn setup(&mut self, setup: &Setup) -> Result<Answer, Refusal> {
        enter_namespaces(setup)?;
        if setup.shared_pids && self.pause.is_none() {
            self.pause = Some(process::fork_pause().map_err(text)?);
        }
        Ok(Answer::Setup { pause: self.pause })
    }

    fn state(&self) -> Answer {
        let containers = self.containers.values().filter(|container| container.state.pid != 0);
        Answer::State {
            version: VERSION,
            pause: self.pause,
            containers: containers.map(|container| container.state.clone()).collect(),
        }
    }

    fn start(&mut self, connection: u64, request: u64, start: &Start) -> Result<(), Refusal> {
        if self.containers.contains_key(&start.container) {
            return Err(format!("container {} was started already", start.container));
        }
        let log = Log::open(start.log.clone()).map_err(|problem| format!("cannot open the log: {problem}"))?;
        let state = ContainerState { id: start.container.clone(), ..ContainerState::default() };
        let mut container = Container::new(state, start.bundle.clone(), start.cgroup.clone(), log);
        let mut inner = Streams { stdin: None, stdout: None, stderr: None };
        let mut readers = Vec::new();
        if !start.tty {
            let (stdout, stdout_inner) = process::pipe(true).map_err(text)?;
            let (stderr, stderr_inner) = process::pipe(true).map_err(text)?;
            (inner.stdout, inner.stderr) = (Some(stdout_inner), Some(stderr_inner));
            readers = vec![(Output::Stdout, stdout), (Output::Stderr, stderr)];
            if start.stdin {
                let (stdin_inner, stdin) = process::pipe(false).map_err(text)?;
                (inner.stdin, container.stdin) = (Some(stdin_inner), Some(stdin));
            }
        }
        let (socket, child) = fork_reporting(|result| creator::main(start, inner, result)).map_err(text)?;
        for (output, fd) in readers {
            self.add_source(&start.container, output, fd).map_err(text)?;
        }
        self.containers.insert(start.container.clone(), container);
        let work = Work::Start { container: start.container.clone() };
        self.add_pending(Pending { connection, request, child, socket, master: None, work }).map_err(text)
    }

    fn exec(&mut self, connection: u64, request: u64, exec: &Exec) -> Result<(), Refusal> {
        let container = self.running(&exec.container)?;
        let bundle = container.bundle.clone();
        // Here: who is not reaped yet keeps the number, and only we reap.
        let init = process::handle(container.state.pid).map_err(text)?;
        let mut inner = Streams { stdin: None, stdout: None, stderr: None };
        let mut streams = Vec::new();
        if !exec.tty {
            if exec.stdin {
                let (stdin_inner, stdin) = process::pipe(false).map_err(text)?;
                inner.stdin = Some(stdin_inner);
                streams.push((Stream::Stdin, stdin));
            }
            let (stdout, stdout_inner) = process::pipe(false).map_err(text)?;
            let (stderr, stderr_inner) = process::pipe(false).map_err(text)?;
            (inner.stdout, inner.stderr) = (Some(stdout_inner), Some(stderr_inner));
            streams.extend([(Stream::Stdout, stdout), (Stream::Stderr, stderr)]);
        }
        let fork = |result| entrant::main(exec, &bundle, init.as_fd(), inner, result);
        let (socket, child) = fork_reporting(fork).map_err(text)?;
        let work = Work::Exec { exec: exec.exec.clone(), streams };
        self.add_pending(Pending { connection, request, child, socket, master: None, work }).map_err(text)
    }

    fn running(&self, id: &str) -> Result<&Container, Refusal> {
        let container = self.containers.get(id).filter(|container| container.state.pid != 0);
        container
            .filter(|container| container.state.end.is_none())
            .ok_or_else(|| format!("container {id} is not running"))
    }

    fn add_pending(&mut self, pending: Pending) -> io::Result<()> {
        process::set_nonblocking(&pending.socket)?;
        let token = self.watch(&pending.socket)?;
        self.pending.insert(token, pending);
        Ok(())
    }

    fn add_source(&mut self, container: &str, output: Output, fd: OwnedFd) -> io::Result<()> {
        process::set_nonblocking(&fd)?;
        let token = self.watch(&fd)?;
        self.sources.insert(token, Source { container: container.to_string(), output, fd });
        Ok(())
    }

    /// A stream has something, or has ended.
    fn readable(&mut self, token: u64) {
        let Some(source) = self.sources.get(&token) else { return };
        let drained = match self.containers.get_mut(&source.container) {
            Some(container) => container.pump(source.output, &source.fd),
            None => Drained::End,
        };
        if matches!(drained, Drained::End) {
            self.sources.remove(&token);
        }
    }

    /// A forked child reports.
    fn reported(&mut self, token: u64) {
        let Some(pending) = self.pending.get_mut(&token) else { return };
        let outcome = match wire::receive(&pending.socket) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok((bytes, descriptors)) => {
                pending.master = descriptors.into_iter().next().or(pending.master.take());
                serde_json::from_slice::<Outcome>(&bytes).ok()
            }
            Err(_) => None,
        };
        let lost = || Outcome { pid: None, error: Some("the process that was to do it ended early".into()) };
        let outcome = outcome.unwrap_or_else(lost);
        if (outcome.pid.is_some() || outcome.error.is_some())
            && let Some(pending) = self.pending.remove(&token)
        {
            self.finish(pending, outcome);
        }
        if self.pending.is_empty() {
            self.early.clear();
        }
    }

    fn finish(&mut self, pending: Pending, outcome: Outcome) {
        let Pending { connection, request, master, work, .. } = pending;
        let result = outcome.pid.ok_or_else(|| outcome.error.unwrap_or_default());
        match work {
            Work::Start { container } => {
                let answer = self.started(&container, result, master);
                let early = answer.as_ref().ok().and_then(|state| self.early.remove(&state.pid));
                self.reply(connection, request, answer.map(Answer::Started), &[]);
                if let Some(code) = early {
                    self.container_ended(&container, code);
                }
            }
            Work::Exec { exec, mut streams } => {
                streams.extend(master.map(|master| (Stream::Terminal, master)));
                let pid = result.as_ref().ok().copied();
                let (answer, descriptors) = with_streams(result.map(|_| streams));
                self.reply(connection, request, answer, &descriptors);
                if let Some(pid) = pid {
                    self.extras.insert(pid, Extra { name: exec, connection });
                    if let Some(code) = self.early.remove(&pid) {
                        self.child_ended(pid, code);
                    }
                }
            }
        }
    }

    fn started(
        &mut self,
        id: &str,
        result: Result<i32, Refusal>,
        master: Option<OwnedFd>,
    ) -> Result<ContainerState, Refusal> {
        let pid = match result {
            Ok(pid) => pid,
            Err(problem) => {
                self.sources.retain(|_, source| source.container != id);
                if let Some(container) = self.containers.remove(id) {
                    // Best effort: the runtime removes the group again when the container goes.
                    let _ = container::cgroup::kill(&container.cgroup);
                }
                return Err(problem);
            }
        };
        if let Some(master) = master {
            let reader = master.try_clone().map_err(text)?;
            self.add_source(id, Output::Stdout, reader).map_err(text)?;
            if let Some(container) = self.containers.get_mut(id) {
                container.terminal = Some(master);
            }
        }
        let container = self.containers.get_mut(id).ok_or_else(|| format!("container {id} is gone"))?;
        container.state.pid = pid;
        container.state.started_at = process::now();
        Ok(container.state.clone())
    }

    fn children_ended(&mut self) {
        let mut buffer = [0; 1024];
        while rustix::io::read(&self.signals, &mut buffer).is_ok_and(|length| length > 0) {}
        while let Some((pid, code)) = process::reap() {
            self.child_ended(pid, code);
        }
    }

    fn child_ended(&mut self, pid: i32, code: i32) {
        let container = self.containers.values().find(|container| container.state.pid == pid);
        if let Some(id) = container.map(|container| container.state.id.clone()) {
            return self.container_ended(&id, code);
        }
        if let Some(extra) = self.extras.remove(&pid) {
            return self.send(extra.connection, &Message::ExecExited { exec: extra.name, code }, &[]);
        }
        let pending = self.pending.iter().find(|(_, pending)| pending.child == pid).map(|(token, _)| *token);
        if let Some(token) = pending {
            return self.child_without_report(token);
        }
        if !self.pending.is_empty() {
            self.early.insert(pid, code);
        }
    }

    /// A forked child has ended: what it reported is in the socket, or it reported nothing.
    fn child_without_report(&mut self, token: u64) {
        self.reported(token);
        if let Some(pending) = self.pending.remove(&token) {
            let error = Some("the process that was to do it was killed".to_string());
            self.finish(pending, Outcome { pid: None, error });
        }
    }

    fn container_ended(&mut self, id: &str, exit_code: i32) {
        let Some(container) = self.containers.get_mut(id).filter(|container| container.state.end.is_none()) else {
            return;
        };
        let oom_killed = container::cgroup::usage(&container.cgroup).oom_kills > 0;
        // With a shared process id namespace its other processes are still there.
        let _ = container::cgroup::kill(&container.cgroup);
        container.state.end = Some(End { finished_at: process::now(), exit_code, oom_killed });
        let tokens: Vec<u64> =
            self.sources.iter().filter(|(_, source)| source.container == id).map(|(token, _)| *token).collect();
        for token in tokens {
            self.readable(token);
            self.sources.remove(&token);
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.finish_streams();
            let message = Message::Exited(container.state.clone());
            for token in self.connections.keys().copied().collect::<Vec<_>>() {
                self.send(token, &message, &[]);
            }
        }
    }

    fn signal(&self, id: &str, signal: i32, all: bool) -> Result<Answer, Refusal> {
        let Ok(container) = self.running(id) else { return Ok(Answer::Done) };
        if !all {
            process::signal(container.state.pid, signal).map_err(text)?;
        } else if signal == libc::SIGKILL {
            // The first process by itself too: a frozen or busy group must not delay it.
            process::signal(container.state.pid, signal).map_err(text)?;
            container::cgroup::kill(&container.cgroup).map_err(text)?;
        } else {
            for pid in container::cgroup::processes(&container.cgroup) {
                process::signal(pid as i32, signal).map_err(text)?;
            }
        }
        Ok(Answer::Done)
    }

    fn signal_exec(&self, name: &str, signal: i32) -> Result<Answer, Refusal> {
        if let Some((pid, _)) = self.extras.iter().find(|(_, extra)| extra.name == name) {
            process::signal(*pid, signal).map_err(text)?;
        }
        Ok(Answer::Done)
    }

    fn forget(&mut self, id: &str) -> Result<Answer, Refusal> {
        if self.running(id).is_ok() {
            return Err(format!("container {id} is running"));
        }
        self.containers.remove(id);
        Ok(Answer::Done)
    }

    fn reopen_log(&mut self, id: &str) -> Result<Answer, Refusal> {
        self.running(id)?;
        match self.containers.get_mut(id) {
            Some(container) => container.log.reopen().map(|()| Answer::Done).map_err(text),
            None => Err(format!("container {id} is not running")),
        }
    }

    fn attach(&mut self, id: &str) -> Result<Vec<(Stream, OwnedFd)>, Refusal> {
        self.running(id)?;
        let container = self.containers.get_mut(id).ok_or_else(|| format!("container {id} is not running"))?;
        let mut streams = Vec::new();
        if let Some(terminal) = &container.terminal {
            streams.push((Stream::TerminalInput, terminal.try_clone().map_err(text)?));
        } else if let Some(stdin) = &container.stdin {
            streams.push((Stream::Stdin, stdin.try_clone().map_err(text)?));
        }
        streams.push((Stream::Stdout, container.tee(Output::Stdout).map_err(text)?));
        if container.terminal.is_none() {
            streams.push((Stream::Stderr, container.tee(Output::Stderr).map_err(text)?));
        }
        Ok(streams)
    }

    fn shut_down(&mut self) {
        for container in self.containers.values() {
            let _ = container::cgroup::kill(&container.cgroup);
        }
        if let Some(pause) = self.pause {
            let _ = process::signal(pause, libc::SIGKILL);
        }
        self.is_done = true;
    }
}

fn text(problem: impl std::fmt::Display) -> String {
    problem.to_string()
}

fn with_streams(result: Result<Vec<(Stream, OwnedFd)>, Refusal>) -> (Result<Answer, Refusal>, Vec<OwnedFd>) {
    match result {
        Ok(streams) => {
            let (streams, descriptors) = streams.into_iter().unzip();
            (Ok(Answer::Streams { streams }), descriptors)
        }
        Err(problem) => (Err(problem), Vec::new()),
    }
}

/// Forks a child that reports on a socket. Its own end of the socket is given to `child`, which does not return.
fn fork_reporting(child: impl FnOnce(OwnedFd)) -> io::Result<(OwnedFd, i32)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match process::fork()? {
        0 => {
            child(theirs);
            process::exit(1)
        }
        pid => Ok((ours, pid)),
    }
}

fn enter_namespaces(setup: &Setup) -> Result<(), Refusal> {
    use rustix::thread::{LinkNameSpaceType, UnshareFlags};
    if let Some(path) = &setup.network {
        let file = std::fs::File::open(path).map_err(|problem| format!("cannot open {}: {problem}", path.display()))?;
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(text)?;
    }
    let mut flags = UnshareFlags::empty();
    flags.set(UnshareFlags::NEWIPC, setup.own_ipc);
    flags.set(UnshareFlags::NEWUTS, setup.hostname.is_some());
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(text)?;
    if let Some(hostname) = &setup.hostname {
        rustix::system::sethostname(hostname.as_bytes())
            .map_err(|problem| format!("cannot set the host name: {problem}"))?;
    }
    for (name, value) in &setup.sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        std::fs::write(&path, value).map_err(|problem| format!("cannot set sysctl {name}: {problem}"))?;
    }
    Ok(())
}

/// A socket of the pod's network that is on its way to a port of its loopback interface.
fn connect(port: u16, ipv6: bool) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    let (family, address): (_, SocketAddr) = if ipv6 {
        (AddressFamily::INET6, (Ipv6Addr::LOCALHOST, port).into())
    } else {
        (AddressFamily::INET, (Ipv4Addr::LOCALHOST, port).into())
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(problem) => Err(problem.into()),
    }
}
