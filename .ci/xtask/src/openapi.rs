//! The documents of the API, written from the types that answer it.

use std::process::ExitCode;

use anyhow::Result;

use crate::place::Place;
use crate::process::{exit_code, shown};

/// Write `static/openapi.json` and `static/postman.json`.
pub async fn run(place: &Place) -> Result<ExitCode> {
    let mut write = place.cargo();
    write.args(["run", "--quiet", "-p", "api", "--features", "openapi", "--example", "openapi", "--", "static"]);
    Ok(exit_code(shown(&mut write).await?))
}
