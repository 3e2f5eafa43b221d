//! A change on disk is searchable a moment later, and search says how fresh it is.

use crate::helper::World;

#[test]
fn an_edit_a_new_file_and_a_deletion_are_seen() {
    let world = World::new("");
    world.write("guide.md", "# Guide\n\nHow to polish a telescope mirror.\n");
    world.write("notes/b.txt", "Pears ripen in September.\n");
    let daemon = world.start();
    world.wait();
    assert_eq!(world.search("telescope mirror")[0], "guide.md");
    world.write("guide.md", "# Guide\n\nHow to tune a harpsichord.\n");
    world.write("new.md", "# Lighthouses\n\nA lighthouse keeper's day.\n");
    std::fs::remove_file(world.docs().join("notes/b.txt")).unwrap();
    world.wait();
    assert_eq!(world.search("harpsichord")[0], "guide.md");
    assert_eq!(world.search("lighthouse keeper")[0], "new.md");
    assert!(
        !world
            .search("pears september")
            .contains(&"notes/b.txt".to_owned())
    );
    let history = world
        .cli(["history", "docs/guide.md", "--json"])
        .json()
        .unwrap();
    assert_eq!(
        history["versions"].as_array().unwrap().len(),
        2,
        "{history}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
