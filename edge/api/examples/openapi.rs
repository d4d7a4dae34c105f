//! Writes `openapi.json` and `postman.json` into a folder: `cargo run -p api --features openapi --example openapi -- static`.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "static".to_owned()));
    fs::write(folder.join("openapi.json"), api::openapi::openapi())?;
    fs::write(folder.join("postman.json"), api::openapi::postman())
}
