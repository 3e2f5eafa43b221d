//! How the writer's session stands before a commit.

/// What the writer found before a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Readiness {
    /// All is as the last commit left it.
    #[default]
    Ready,
    /// The connection is another one: what is counted in memory is to be read again.
    Reconnected,
    /// The same, and what was committed before is not there any more.
    CommitsLost,
}
