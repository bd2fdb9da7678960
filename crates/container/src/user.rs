//! Who a container's process runs as: numbers and names resolved in the image's own passwd and group files.
//! Pure: the texts of the files are arguments. Not here: reading them, or applying the result.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

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
    let entry = entries
        .iter()
        .find(|entry| entry.name == asked)
        .or_else(|| entries.iter().find(|entry| Some(entry.uid) == asked.parse().ok()));
    let uid = match (entry, asked.parse::<u32>()) {
        (Some(entry), _) => entry.uid,
        (None, Ok(uid)) => uid,
        (None, Err(_)) => {
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
    Ok(User { uid, gid, groups, home: entry.map(|entry| entry.home.to_string()).filter(|home| !home.is_empty()) })
}

fn group_number(asked: &str, group: &str) -> Result<u32> {
    if let Some(line) = group.lines().filter_map(group_line).find(|line| line.0 == asked) {
        return Ok(line.1);
    }
    asked
        .parse()
        .map_err(|_| Error::Invalid(format!("unable to find group {asked}: no matching entries in group file")))
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
}
