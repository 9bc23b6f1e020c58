//! Bearer tokens: given, or fetched with OAuth2 client credentials and renewed before they run out.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::wire::{self, Token};
use crate::error::{Error, Result};
use crate::lake::Ambient;

/// A token is renewed this long before it runs out.
const EARLY_MS: i64 = 60_000;

/// How a client authenticates.
pub(super) struct Auth {
    how: How,
    held: Mutex<Option<(String, i64)>>,
    ambient: Arc<Ambient>,
}

enum How {
    Nothing,
    Token(String),
    Credential { id: String, secret: String, scope: String, server: String },
}

impl Auth {
    /// Reads `token`, or `credential` (`id:secret`) with `oauth2-server-uri` and `scope`.
    pub(super) fn new(props: &BTreeMap<String, String>, base: &str, ambient: Arc<Ambient>) -> Self {
        let how = match (props.get("token"), props.get("credential")) {
            (Some(token), _) => How::Token(token.clone()),
            (None, Some(credential)) => {
                let (id, secret) = credential.split_once(':').unwrap_or(("", credential));
                How::Credential {
                    id: id.to_owned(),
                    secret: secret.to_owned(),
                    scope: props.get("scope").cloned().unwrap_or_else(|| "catalog".to_owned()),
                    server: props
                        .get("oauth2-server-uri")
                        .cloned()
                        .unwrap_or_else(|| format!("{base}/v1/oauth/tokens")),
                }
            }
            (None, None) => How::Nothing,
        };
        Self { how, held: Mutex::new(None), ambient }
    }

    /// Forgets a token that the server no longer takes; `false` when there is no way to get another.
    pub(super) async fn renew(&self) -> bool {
        self.held.lock().await.take();
        matches!(self.how, How::Credential { .. })
    }

    /// The token to send, if any.
    pub(super) async fn token(&self, http: &reqwest::Client, shown: &str) -> Result<Option<String>> {
        let (id, secret, scope, server) = match &self.how {
            How::Nothing => return Ok(None),
            How::Token(token) => return Ok(Some(token.clone())),
            How::Credential { id, secret, scope, server } => (id, secret, scope, server),
        };
        let mut held = self.held.lock().await;
        let now = self.ambient.now_ms();
        if let Some((token, until)) = held.as_ref()
            && now < *until
        {
            return Ok(Some(token.clone()));
        }
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
            ("scope", scope.as_str()),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let sent = http
            .post(server)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .map_err(|e| super::no_answer(shown, &e))?;
        let status = sent.status().as_u16();
        if !sent.status().is_success() {
            return Err(Error::invalid(format!("{shown} gave no token for the credential ({status})"))
                .hint("check the properties credential, scope and oauth2-server-uri"));
        }
        let answer = sent.json().await.map_err(|e| super::no_answer(shown, &e))?;
        let token: Token = wire::parse(answer, shown)?;
        let seconds = i64::try_from(token.expires_in.unwrap_or(3600)).unwrap_or(3600);
        *held = Some((token.access_token.clone(), now + (seconds * 1000 - EARLY_MS).max(1000)));
        Ok(Some(token.access_token))
    }
}
