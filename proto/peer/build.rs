//! Makes the service's code from its .proto file.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=protos/pages.proto");
    let files = protox::compile(["protos/pages.proto"], ["protos"])?;
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_fds(files)?;
    Ok(())
}
