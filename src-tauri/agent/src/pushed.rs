//! Pushed authorization requests (RFC 9126): the request goes to the provider directly, and the browser carries a reference.

use crate::client_auth::authenticate;
use crate::clock::Clock;
use crate::http::{Http, host};
use crate::token_endpoint::{Client, plain};
use larder_core::problem::Problem;
use serde::Deserialize;
use url::Url;

/// RFC 9126 section 2.2.
#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

/// RFC 6749 section 5.2.
#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

/// Pushes the parameters of an authorization request, and returns the request that the browser is sent with.
/// `None` where the endpoint does not answer as one: then the request can be made as it was.
///
/// # Errors
/// [`Problem::AuthorizationFailed`] where the provider refuses the request, [`Problem::Unreachable`].
pub async fn push(
    http: &Http,
    clock: &dyn Clock,
    asks: Client<'_>,
    endpoint: &Url,
    request: &Url,
) -> Result<Option<Url>, Problem> {
    let proof = authenticate(asks.endpoints, asks.secret, asks.provider, clock.now().wall)?;
    let fields: Vec<(String, String)> = request
        .query_pairs()
        // RFC 9126 section 2.1 wants it in the form; an authentication that is in the form has it already.
        .filter(|(name, _)| name != "client_id" || proof.credentials().is_some())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let response = http.post_form(endpoint, proof.form(&fields), proof.credentials()).await?;
    match response.status {
        200..300 => {
            let pushed: Pushed = response
                .json()
                .map_err(|_| Problem::ProviderTrouble { host: host(endpoint), status: response.status })?;
            let mut url = request.clone();
            // RFC 9126 section 4: nothing but these two.
            url.query_pairs_mut()
                .clear()
                .append_pair("client_id", &asks.endpoints.client_id)
                .append_pair("request_uri", &pushed.request_uri);
            Ok(Some(url))
        }
        400..500 => match serde_json::from_slice::<Refused>(&response.body) {
            Ok(refused) => Err(Problem::AuthorizationFailed {
                provider: asks.provider.to_owned(),
                error: plain(&refused.error),
                detail: refused.error_description.map(|text| plain(&text)).unwrap_or_default(),
            }),
            Err(_) => Ok(None),
        },
        _ => Ok(None),
    }
}
