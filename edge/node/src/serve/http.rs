//! The node's own HTTP face, for those who run it.

use super::{health::Health, health::State, log, metrics::Metrics};
use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

const JSON: &str = "application/json";
/// Prometheus' text format.
const FIGURES: &str = "text/plain; version=0.0.4";

#[derive(Clone)]
struct Face {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// Answers at `address` for as long as the program runs.
pub async fn serve(address: SocketAddr, health: Arc<Health>, metrics: Arc<Metrics>) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("could not listen at {address}"))?;
    log::info("listening", &[("address", listener.local_addr()?.to_string().into())]);
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(Face { health, metrics });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// That the program runs at all.
async fn livez() -> &'static str {
    "ok\n"
}

/// How it is; 200 only when it takes work.
async fn readyz(Shared(face): Shared<Face>) -> impl IntoResponse {
    let state = face.health.state();
    let status = if state == State::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CONTENT_TYPE, JSON)], format!("{{\"state\":\"{}\"}}\n", state.as_str()))
}

async fn metrics_text(Shared(face): Shared<Face>) -> impl IntoResponse {
    ([(CONTENT_TYPE, FIGURES)], face.metrics.text())
}
