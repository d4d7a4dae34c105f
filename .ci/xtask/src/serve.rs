//! A server of the page alone for the browser tests, under the headers that the edge sends.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower_http::services::ServeDir;

use crate::place::Place;

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
];
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self' https: http://localhost:* http://127.0.0.1:*; \
    worker-src 'self'; manifest-src 'self'; font-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const UNCHANGING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const CHECK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");

/// The number of a free port: this one, or any if it is 0. It is free again when this returns.
pub async fn free_port(port: u16) -> Result<u16> {
    Ok(take(port).await?.local_addr()?.port())
}

async fn take(port: u16) -> Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            bail!("port {port} is in use: stop the program that has it, or choose another with --port")
        }
        Err(error) => Err(error).with_context(|| format!("port {port} cannot be opened")),
    }
}

/// A port that is ours, and not served yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Take any free port of this machine.
    pub async fn bind() -> Result<Self> {
        let listener = take(0).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where the page will be.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serve in the background, and return once the page answers.
    pub async fn start(self, place: &Place) -> Result<()> {
        let files = ServeDir::new(place.dist());
        let app = Router::new().fallback_service(files).layer(middleware::from_fn(add_headers));
        let Self { listener, address } = self;
        tokio::spawn(async move { axum::serve(listener, app).await });
        timeout(Duration::from_secs(5), probe(address)).await.context("the page does not answer")?
    }
}

async fn add_headers(request: Request, next: Next) -> Response {
    let hashed = is_hashed(request.uri().path());
    let mut response = next.run(request).await;
    let served = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CACHE_CONTROL, if hashed && served { UNCHANGING } else { CHECK_FIRST });
    response
}

/// Whether the file's name changes with its content, as in `playground-1f0c93de5a7b2244_bg.wasm`.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, _)) = name.split_once('.') else { return false };
    let Some((_, hash)) = stem.strip_suffix("_bg").unwrap_or(stem).rsplit_once('-') else { return false };
    (12..=16).contains(&hash.len()) && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn probe(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let status = answer.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    if status != b"200" {
        bail!("the page answers {}", String::from_utf8_lossy(status));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_unchanging() {
        assert!(is_hashed("/playground-1f0c93de5a7b2244_bg.wasm"));
        assert!(is_hashed("/boot-1f0c93de5a7b2244.js"));
        assert!(!is_hashed("/engine_bg.wasm"));
        assert!(!is_hashed("/apple-touch-icon.png"));
        assert!(!is_hashed("/"));
    }
}
