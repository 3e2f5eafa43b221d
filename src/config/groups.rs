//! Groups of the system, by their names.

/// The number of a group, if there is one of this name. Groups of a directory service are found too, because the system's name
/// service is asked; that may block.
pub(crate) fn group_id(name: &str) -> Option<u32> {
    uzers::get_group_by_name(name).map(|group| group.gid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        assert_eq!(group_id("root"), Some(0));
        assert_eq!(group_id("roo"), None);
    }
}
