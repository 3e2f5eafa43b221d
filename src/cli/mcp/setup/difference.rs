//! What changes in a file, as a unified diff of one piece.

/// Lines around what changes.
const AROUND: usize = 3;

pub(super) fn unified(name: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same =
        |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut old.iter().zip(&new));
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = same(&mut old_rest.iter().rev().zip(new_rest.iter().rev()));
    let gone = &old_rest[..old_rest.len() - tail];
    let come = &new_rest[..new_rest.len() - tail];
    let begin = head.saturating_sub(AROUND);
    let lead = &old[begin..head];
    let rest = &old[old.len() - tail..];
    let rest = &rest[..rest.len().min(AROUND)];
    let range = |changed: usize| {
        let count = lead.len() + changed + rest.len();
        let first = if count == 0 { begin } else { begin + 1 };
        format!("{first},{count}")
    };
    let from = if before.is_empty() { "/dev/null" } else { name };
    let (removed, added) = (range(gone.len()), range(come.len()));
    let mut text = format!("--- {from}\n+++ {name}\n@@ -{removed} +{added} @@\n");
    for (sign, lines) in [(' ', lead), ('-', gone), ('+', come), (' ', rest)] {
        for line in lines {
            text.push_str(&format!("{sign}{line}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_stands_between_what_stays() {
        let text = unified(
            "f",
            "a\nb\nc\nd\ne\nf\ng\nh\n",
            "a\nb\nc\nd\nX\nY\nf\ng\nh\n",
        );
        assert_eq!(
            text,
            "--- f\n+++ f\n@@ -2,7 +2,8 @@\n b\n c\n d\n-e\n+X\n+Y\n f\n g\n h\n"
        );
        assert_eq!(
            unified("f", "", "a\n"),
            "--- /dev/null\n+++ f\n@@ -0,0 +1,1 @@\n+a\n"
        );
        assert_eq!(
            unified("f", "a\na\n", "a\na\na\n"),
            "--- f\n+++ f\n@@ -1,2 +1,3 @@\n a\n a\n+a\n"
        );
    }
}
