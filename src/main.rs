//! The `emberline` binary.

mod cli;

// Panics are caught where stages of others run: in threads of rounds, in executors, whose tasks then fail while they live on.
const _: () = assert!(
    cfg!(panic = "unwind"),
    "this program catches panics: build it with panic = \"unwind\""
);

fn main() -> std::process::ExitCode {
    cli::main()
}
