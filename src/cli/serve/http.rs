//! `/healthz`, `/readyz`, `/metrics` and the status page.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::page::status_page;
use crate::error::{Error, Result};
use crate::lake::Ambient;
use crate::scheduler::StatusBoard;
use crate::telemetry::metrics::{Registry, record_process};

/// What the pages show.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) board: Arc<StatusBoard>,
    pub(super) registry: Arc<Registry>,
    pub(super) ambient: Arc<Ambient>,
    pub(super) owner: String,
    pub(super) started_ms: i64,
}

/// Answers until it is told to stop.
pub(super) async fn answer(listener: TcpListener, shown: Shown, mut stop: watch::Receiver<bool>) -> Result<()> {
    let router = Router::new()
        .route("/", get(page))
        .route("/status.json", get(json))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shown);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
        .map_err(|e| Error::internal("the status server ended").caused_by(e))
}

async fn page(State(shown): State<Shown>) -> Response {
    let text = status_page(&shown.board.view(), &shown.owner, shown.ambient.now_ms());
    // Nothing may be loaded from anywhere, whatever a table is called.
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, text).into_response()
}

async fn json(State(shown): State<Shown>) -> Response {
    match serde_json::to_string_pretty(&shown.board.view()) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(shown): State<Shown>) -> Response {
    let view = shown.board.view();
    if view.stopping {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if view.ready {
        return "ready\n".into_response();
    }
    let why = view.trouble.unwrap_or_else(|| "the catalog was not looked at yet".to_owned());
    (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    record_process(&shown.registry, shown.started_ms);
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, shown.registry.encode()).into_response()
}
