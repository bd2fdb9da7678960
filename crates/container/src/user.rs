//! Who a container's process runs as: numbers and names resolved in the image's own passwd and group files.
//! Pure: the texts of the files are arguments. Not here: reading them, or applying the result.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Larger ids mean "leave as it is" to the kernel (the process would stay root), or are negative to others.
const ID_MAX: u32 = i32::MAX as u32;

/// The identity of a process, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Without the primary group's number being required to be in it.
    pub groups: Vec<u32>,
    pub home: Option<String>,
}

/// What was asked for. `user` and `group` are numbers or names.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub user: Option<String>,
    pub group: Option<String>,
    pub supplementary: Vec<u32>,
    /// Leave out the groups that the image's group file gives the user.
    pub strict: bool,
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Splits an image's `user[:group]`.
pub fn parse(text: &str) -> (Option<String>, Option<String>) {
    let (user, group) = text.split_once(':').map_or((text, ""), |(user, group)| (user, group));
    let some = |part: &str| if part.is_empty() { None } else { Some(part.to_string()) };
    (some(user), some(group))
}

/// Resolves a wish. A name that the files do not know is an error; a number need not be known.
pub fn resolve(wish: &Wish, passwd: &str, group: &str) -> Result<User> {
    let entries: Vec<Passwd> = passwd.lines().filter_map(passwd_line).collect();
    let asked = wish.user.as_deref().unwrap_or("0");
    // Digits are a number whatever the image calls its users: a "1000" of its own that is root would deceive the caller.
    let number = number(asked)?;
    let entry = entries.iter().find(|entry| match number {
        Some(number) => entry.uid == number,
        None => entry.name == asked,
    });
    let uid = match (number, entry) {
        (Some(uid), _) => uid,
        (None, Some(entry)) => entry.uid,
        (None, None) => {
            return Err(Error::Invalid(format!("unable to find user {asked}: no matching entries in passwd file")));
        }
    };
    let gid = match wish.group.as_deref() {
        Some(asked) => group_number(asked, group)?,
        None => entry.map_or(0, |entry| entry.gid),
    };
    let mut groups = wish.supplementary.clone();
    if let (Some(entry), false) = (entry, wish.strict) {
        groups.extend(
            group.lines().filter_map(group_line).filter(|line| line.2.contains(&entry.name)).map(|line| line.1),
        );
    }
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    groups.sort_unstable();
    groups.dedup();
    if let Some(id) = [uid].iter().chain(&groups).find(|id| **id > ID_MAX) {
        return Err(Error::Invalid(format!("user or group id {id} is out of range")));
    }
    Ok(User { uid, gid, groups, home: entry.map(|entry| entry.home.to_string()).filter(|home| !home.is_empty()) })
}

fn group_number(asked: &str, group: &str) -> Result<u32> {
    if let Some(number) = number(asked)? {
        return Ok(number);
    }
    let line = group.lines().filter_map(group_line).find(|line| line.0 == asked);
    line.map(|line| line.1)
        .ok_or_else(|| Error::Invalid(format!("unable to find group {asked}: no matching entries in group file")))
}

/// The number that a text is, if it is one. One that is no id is refused, and not taken for a name.
fn number(text: &str) -> Result<Option<u32>> {
    let digits = text.trim_start_matches(['+', '-']);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| *number <= ID_MAX);
    number.map(Some).ok_or_else(|| Error::Invalid(format!("user or group id {text} is out of range")))
}

fn passwd_line(line: &str) -> Option<Passwd<'_>> {
    let parts: Vec<&str> = line.trim().split(':').collect();
    Some(Passwd {
        name: parts.first()?,
        uid: parts.get(2)?.parse().ok()?,
        gid: parts.get(3)?.parse().ok()?,
        home: parts.get(5).copied().unwrap_or(""),
    })
}

fn group_line(line: &str) -> Option<(&str, u32, Vec<&str>)> {
    let parts: Vec<&str> = line.trim().split(':').collect();
    let members = parts.get(3).map(|list| list.split(',').collect()).unwrap_or_default();
    Some((parts.first()?, parts.get(2)?.parse().ok()?, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\nlogs:x:4:web,other\n";

    fn wish(user: &str, group: Option<&str>) -> Wish {
        Wish { user: Some(user.into()), group: group.map(Into::into), ..Wish::default() }
    }

    #[test]
    fn a_name_brings_its_groups() {
        let user = resolve(&wish("web", None), PASSWD, GROUP).unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (33, 33, vec![4, 33]));
        assert_eq!(user.home.as_deref(), Some("/var/www"));
    }

    #[test]
    fn an_unknown_number_is_fine_and_an_unknown_name_is_not() {
        assert_eq!(resolve(&wish("1000", None), PASSWD, GROUP).unwrap().gid, 0);
        assert!(resolve(&wish("nobody", None), PASSWD, GROUP).is_err());
        assert_eq!(resolve(&wish("0", Some("logs")), PASSWD, GROUP).unwrap().gid, 4);
    }

    #[test]
    fn no_number_becomes_root() {
        let passwd = "1000:x:0:0::/root:/bin/sh\n4294967296:x:0:0::/:/bin/sh\nall:x:4294967295:4294967295::/:/bin/sh\n";
        let group = "1000:x:0:\nall:x:4294967295:1000\n";
        let user = resolve(&wish("1000", Some("1000")), passwd, group).unwrap();
        assert_eq!((user.uid, user.gid, user.groups, user.home), (1000, 1000, vec![1000], None));
        // The kernel takes the last number for "do not change".
        for (user, of) in [("4294967295", None), ("4294967296", None), ("-1", None), ("all", None), ("1", Some("all"))]
        {
            assert!(resolve(&wish(user, of), passwd, group).is_err(), "{user} {of:?}");
        }
    }
}
