//! docent
use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// It gives free memory back after some seconds. glibc's allocator keeps it, in up to eight arenas for each processor.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    docent::cli::main()
}
