//! Folders below the profile's own, which nobody else may read.

use std::path::Path;

/// Makes `folder`, and those above it that are missing, for this user alone: the agent, which may start later, refuses
/// a profile that others can read.
pub fn private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
