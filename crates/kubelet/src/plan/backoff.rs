//! The delay between restarts of a failing container: 10 s doubling to 300 s, forgotten after 10 min of health.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>.

use jiff::{SignedDuration, Timestamp};

pub const BACKOFF_S_MIN: i64 = 10;
pub const BACKOFF_S_MAX: i64 = 300;
/// A container that ran this long since its last restart starts anew.
pub const BACKOFF_RESET_S: i64 = 600;

/// The delay in force since a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub delay_s: i64,
    pub since: Timestamp,
    /// The container's hash: a changed image starts anew.
    pub hash: String,
}

/// Whether a container that ended at `finished` may be started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Now; the entry to keep from then on.
    Now(Backoff),
    /// Not before this time; the delay in force.
    At(Timestamp, i64),
}

/// Decides about a restart at `now`.
pub fn restart(entry: Option<&Backoff>, hash: &str, finished: Timestamp, now: Timestamp) -> Restart {
    let first = || Restart::Now(Backoff { delay_s: BACKOFF_S_MIN, since: now, hash: hash.into() });
    let Some(entry) = entry.filter(|e| e.hash == hash) else { return first() };
    if finished.duration_since(entry.since).as_secs() > BACKOFF_RESET_S {
        return first();
    }
    let allowed = finished + SignedDuration::from_secs(entry.delay_s);
    if now < allowed {
        return Restart::At(allowed, entry.delay_s);
    }
    let delay_s = (entry.delay_s * 2).min(BACKOFF_S_MAX);
    Restart::Now(Backoff { delay_s, since: now, hash: hash.into() })
}

/// A delay as Go prints a duration of whole seconds: `10s`, `1m20s`, `5m0s`.
pub fn go_seconds(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[test]
    fn the_first_restart_is_at_once_and_then_the_delay_doubles() {
        let Restart::Now(first) = restart(None, "h", at(0), at(0)) else { panic!() };
        assert_eq!(first.delay_s, 10);
        assert_eq!(restart(Some(&first), "h", at(1), at(1)), Restart::At(at(11), 10));
        let Restart::Now(second) = restart(Some(&first), "h", at(1), at(11)) else { panic!() };
        assert_eq!(second.delay_s, 20);
        let long = Backoff { delay_s: 300, ..second };
        let Restart::Now(capped) = restart(Some(&long), "h", at(12), at(312)) else { panic!() };
        assert_eq!(capped.delay_s, 300);
    }

    #[test]
    fn health_and_a_new_image_start_anew() {
        let entry = Backoff { delay_s: 300, since: at(0), hash: "h".into() };
        assert!(matches!(restart(Some(&entry), "h", at(601), at(601)), Restart::Now(b) if b.delay_s == 10));
        assert!(matches!(restart(Some(&entry), "i", at(5), at(5)), Restart::Now(b) if b.delay_s == 10));
    }

    #[test]
    fn delays_print_as_in_go() {
        assert_eq!([10, 80, 300].map(go_seconds), ["10s", "1m20s", "5m0s"]);
    }
}
