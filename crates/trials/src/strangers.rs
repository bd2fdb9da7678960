//! What a cluster finds on a machine that is not its own: routes of the host, and a cluster of the same name under
//! another home. It refuses to start over them, and its deletion leaves them alone.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;

const THEIRS: &str = "10.70.0.0/16";

/// Runs all of it.
pub async fn run(binary: PathBuf) -> Result<()> {
    Bed::with(binary, "stranger", async |bed| {
        routes_of_the_host(bed).context("ranges that the host has")?;
        same_name_under_another_home(bed).context("one name under two homes")
    })
    .await
}

/// A route in a cluster's range is neither replaced nor removed; the command says how to choose another range.
fn routes_of_the_host(bed: &Bed) -> Result<()> {
    let host = ["route", "add", "unreachable", THEIRS, "proto", "static"];
    ip(&host)?;
    let before = ip(&["route"])?;
    for flag in ["--pod-cidr", "--service-cidr"] {
        for range in [THEIRS, "10.70.3.0/24", "10.70.0.0/15"] {
            refused(bed, &["up", flag, range], &["10.70.0.0/16", flag])?;
            bed.delete()?;
            ensure!(ip(&["route"])? == before, "the host's routes are others after {flag} {range}");
        }
    }
    for (words, flag) in [
        (["up", "--pod-cidr", "127.0.0.0/16"], "--pod-cidr"),
        (["up", "--service-cidr", "10.1.2.0/29"], "--service-cidr"),
        (["up", "--domain", "No.Domain"], "--domain"),
    ] {
        refused(bed, &words, &[flag])?;
    }
    ip(&["route", "del", "unreachable", THEIRS]).map(drop)
}

/// The kernel's names are one for all homes: the second cluster does not start, and its deletion does not end the first.
fn same_name_under_another_home(bed: &Bed) -> Result<()> {
    let elsewhere = bed.home.run.join("elsewhere");
    let second = |words: &[&str]| -> Result<(bool, String)> {
        let done = bed.command(words).env("KYBERN_HOME", &elsewhere).output().context("run kybern")?;
        let said = [done.stdout, done.stderr].concat();
        Ok((done.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    bed.kybern(&["up"])?;
    let (started, said) =
        second(&["up", "--api-port", "16444", "--pod-cidr", "10.81.0.0/16", "--service-cidr", "10.82.0.0/16"])?;
    ensure!(!started && said.contains("of another KYBERN_HOME"), "a second cluster of the name: {said}");
    let (deleted, said) = second(&["delete"])?;
    ensure!(deleted && said.contains("was left alone"), "delete under another home says {said}");
    let said = bed.kybern(&["status"]).context("after a deletion under another home")?;
    ensure!(said.contains("kubeconfig: Configured"), "the entry is gone: {said}");
    bed.delete()
}

fn refused(bed: &Bed, words: &[&str], wanted: &[&str]) -> Result<()> {
    let error = bed.kybern(words).err().with_context(|| format!("{words:?} is not refused"))?;
    let said = format!("{error:#}");
    ensure!(wanted.iter().all(|part| said.contains(part)), "{words:?} is refused with {said}");
    Ok(())
}

fn ip(words: &[&str]) -> Result<String> {
    let done = Command::new("ip").args(words).output().context("run ip")?;
    ensure!(done.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
