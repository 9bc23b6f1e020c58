//! Bearer tokens: given, or fetched with OAuth2 client credentials and renewed before they run out.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::StatusCode;
use tokio::sync::Mutex;

use super::answer::{message, no_answer, shown};
use super::wire::{self, Token};
use crate::error::{Error, Result};
use crate::lake::Ambient;

/// A token is renewed this long before it runs out.
const EARLY_MS: i64 = 60_000;
/// How long a token is taken to last when the server does not say.
const LASTS_SECONDS: i64 = 3600;

/// How a client authenticates.
pub(super) struct Auth {
    how: How,
    held: Mutex<Option<(String, i64)>>,
    ambient: Arc<Ambient>,
}

#[derive(PartialEq)]
enum How {
    Nothing,
    Token(String),
    Credential {
        /// Sent as long as the server takes it; afterwards the credential gets another.
        first: Option<String>,
        form: Vec<(&'static str, String)>,
        server: String,
    },
}

impl Auth {
    /// Reads `token`, and `credential` (`id:secret`, or a secret alone) with `oauth2-server-uri`, `scope`, `audience`
    /// and `resource`.
    ///
    /// # Errors
    /// `Unsupported` for another way to authenticate (`rest.auth.type`, `rest.sigv4-enabled`).
    pub(super) fn new(props: &BTreeMap<String, String>, base: &str, ambient: Arc<Ambient>) -> Result<Self> {
        let kind = props.get("rest.auth.type").or_else(|| props.get("auth.type")).map_or("oauth2", String::as_str);
        if !["none", "oauth2", "legacyoauth2"].contains(&kind) {
            return Err(Error::unsupported(format!("REST catalogs with rest.auth.type {kind:?} are not supported"))
                .hint("give a token, or a credential for OAuth2"));
        }
        if props.get("rest.sigv4-enabled").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Err(Error::unsupported("REST catalogs with requests signed by AWS (SigV4) are not supported yet")
                .hint("put a signing proxy in front of the catalog, or use one that takes a token"));
        }
        let how = match (kind, props.get("token"), props.get("credential")) {
            ("none", ..) | (_, None, None) => How::Nothing,
            (_, Some(token), None) => How::Token(token.clone()),
            (_, first, Some(credential)) => {
                let (id, secret) =
                    credential.split_once(':').map_or((None, credential.as_str()), |(id, secret)| (Some(id), secret));
                let mut form = vec![("grant_type", "client_credentials".to_owned())];
                form.extend(id.map(|id| ("client_id", id.to_owned())));
                form.push(("client_secret", secret.to_owned()));
                form.push(("scope", props.get("scope").cloned().unwrap_or_else(|| "catalog".to_owned())));
                for key in ["audience", "resource"] {
                    form.extend(props.get(key).map(|value| (key, value.clone())));
                }
                let server = match props.get("oauth2-server-uri") {
                    Some(uri) if uri.contains("://") => uri.clone(),
                    Some(path) => format!("{base}/{}", path.trim_start_matches('/')),
                    None => format!("{base}/v1/oauth/tokens"),
                };
                How::Credential { first: first.cloned(), form, server }
            }
        };
        let held = match &how {
            How::Credential { first: Some(token), .. } => Some((token.clone(), i64::MAX)),
            How::Credential { first: None, .. } | How::Token(_) | How::Nothing => None,
        };
        Ok(Self { how, held: Mutex::new(held), ambient })
    }

    /// Whether both authenticate in the same way, so that a token of one serves the other.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.how == other.how
    }

    /// Forgets a token that the server no longer takes; `false` when there is no way to get another.
    pub(super) async fn renew(&self) -> bool {
        self.held.lock().await.take();
        matches!(self.how, How::Credential { .. })
    }

    /// The token to send, if any.
    ///
    /// # Errors
    /// `InvalidInput` when the credential is refused, `Unavailable` when the token server does not answer.
    pub(super) async fn token(&self, http: &reqwest::Client) -> Result<Option<String>> {
        let (form, server) = match &self.how {
            How::Nothing => return Ok(None),
            How::Token(token) => return Ok(Some(token.clone())),
            How::Credential { form, server, .. } => (form, server),
        };
        let mut held = self.held.lock().await;
        let now = self.ambient.now_ms();
        if let Some((token, until)) = held.as_ref()
            && now < *until
        {
            return Ok(Some(token.clone()));
        }
        let shown = shown(server);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let sent = http
            .post(server)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .map_err(|e| no_answer(&shown, &e))?;
        let status = sent.status();
        if !status.is_success() {
            return Err(refused(&shown, status, &message(sent).await));
        }
        let answer = sent.json().await.map_err(|e| no_answer(&shown, &e))?;
        let token: Token = wire::parse(answer, &shown)?;
        let seconds = token.expires_in.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(LASTS_SECONDS);
        let lasts_ms = (seconds.saturating_mul(1000) - EARLY_MS).max(1000);
        *held = Some((token.access_token.clone(), now.saturating_add(lasts_ms)));
        Ok(Some(token.access_token))
    }
}

fn refused(shown: &str, status: StatusCode, message: &str) -> Error {
    let code = status.as_u16();
    if status.is_server_error() || code == 429 {
        return Error::unavailable(format!("{shown} gave no token: it answered {code}: {message}"))
            .hint("run again later");
    }
    Error::invalid(format!("{shown} gave no token for the credential: it answered {code}: {message}"))
        .hint("check the properties credential, scope and oauth2-server-uri")
}
