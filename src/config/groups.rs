//! Groups of the system, by their names.

use std::io;

/// Where they are listed.
pub const GROUPS: &str = "/etc/group";

/// The number of a group; `None`: there is none of this name.
///
/// # Errors
/// The list of groups cannot be read.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(find_group(&std::fs::read_to_string(GROUPS)?, name))
}

fn find_group(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        fields.nth(1).filter(|_| found)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let table = "root:x:0:\ndocent-admin:x:7:\ndocent:x:990:alice,bob\n";
        assert_eq!(find_group(table, "docent"), Some(990));
        assert_eq!(find_group(table, "doc"), None);
    }
}
