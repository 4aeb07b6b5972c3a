//! Metadata that was read already, kept in memory for as long as it says that it holds (RFC 9111).

use crate::clock::Clock;
use crate::discovery::{self, Metadata, Server};
use crate::http::Http;
use crate::providers::Provider;
use larder_core::names::ProviderName;
use larder_core::problem::Problem;
use larder_core::time::{BootTime, millis};
use reqwest::header::HeaderMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest that metadata is kept, whatever it says: endpoints and keys move, and nobody should wait a week for that.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// So many issuers are remembered; a person has a dozen. Past it, the one that ends first makes room.
const MOST: usize = 64;

/// Finds out what providers offer, and remembers it.
pub struct Discovery {
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<String, Kept>>,
}

struct Kept {
    metadata: Metadata,
    /// By the clock that nobody can set.
    until: BootTime,
}

impl Discovery {
    /// One that remembers nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// What a provider offers.
    ///
    /// # Errors
    /// [`Problem::NotAnIssuer`], [`Problem::IssuerMismatch`], [`Problem::Unreachable`], [`Problem::BadProvider`].
    pub async fn discover(&self, http: &Http, name: &ProviderName, provider: &Provider) -> Result<Server, Problem> {
        let metadata = match &provider.issuer {
            Some(issuer) => Some(self.metadata(http, name.as_str(), issuer).await?),
            None => None,
        };
        discovery::server(name.as_str(), provider, metadata.as_ref())
    }

    /// An issuer's metadata: what is remembered, as long as it holds, else what the issuer says.
    ///
    /// # Errors
    /// [`Problem::NotAnIssuer`], [`Problem::IssuerMismatch`], [`Problem::Unreachable`].
    pub async fn metadata(&self, http: &Http, name: &str, issuer: &str) -> Result<Metadata, Problem> {
        let asked = self.clock.now().boot;
        if let Some(kept) = self.lock().get(issuer).filter(|kept| kept.until > asked) {
            return Ok(kept.metadata.clone());
        }
        let (metadata, headers) = discovery::read(http, name, issuer).await?;
        let mut kept = self.lock();
        kept.remove(issuer);
        if let Some(validity) = validity(&headers) {
            kept.retain(|_, kept| kept.until > asked);
            while kept.len() >= MOST {
                let Some(first) = kept.iter().min_by_key(|(_, kept)| kept.until).map(|(issuer, _)| issuer.clone())
                else {
                    break;
                };
                kept.remove(&first);
            }
            // From when it was asked for: it may have been on its way for a while.
            let until = BootTime(asked.0.saturating_add(millis(validity)));
            kept.insert(issuer.to_owned(), Kept { metadata: metadata.clone(), until });
        }
        Ok(metadata)
    }

    /// Nothing is remembered any more: the way to the providers has changed.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an answer holds by what it says itself (RFC 9111 section 4.2.1), at most [`LONGEST`]; `None` where it says
/// nothing, or that it must be asked for each time.
fn validity(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let directives = headers.get_all("cache-control").iter().filter_map(|value| value.to_str().ok());
    let mut max_age: Option<u64> = None;
    for directive in directives.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return None,
            "max-age" => {
                // What cannot be read is stale (RFC 9111 section 4.2.1); of two, the shorter one.
                let seconds = value.trim().trim_matches('"').parse().unwrap_or(0);
                max_age = Some(max_age.map_or(seconds, |known| known.min(seconds)));
            }
            _ => {}
        }
    }
    let fresh = match max_age {
        Some(seconds) => {
            let age = text("age").and_then(|age| age.trim().parse().ok()).unwrap_or(0);
            Duration::from_secs(seconds.saturating_sub(age))
        }
        None => {
            // By the server's own clock; ours may be wrong.
            let date = |name: &str| httpdate::parse_http_date(text(name)?).ok();
            date("expires")?.duration_since(date("date")?).ok()?
        }
    };
    (!fresh.is_zero()).then(|| fresh.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use larder_core::time::{Now, WallTime};
    use std::path::Path;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn of(fields: &[(&'static str, &str)]) -> Option<u64> {
        let headers = fields.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        validity(&headers).map(|validity| validity.as_secs())
    }

    #[test]
    fn a_document_holds_as_long_as_it_says_and_a_day_at_the_most() {
        assert_eq!(of(&[("cache-control", "public, max-age=3600")]), Some(3600));
        assert_eq!(of(&[("cache-control", "Max-Age=\"60\", max-age=30")]), Some(30));
        assert_eq!(of(&[("cache-control", "max-age=600"), ("age", "100")]), Some(500));
        assert_eq!(of(&[("cache-control", "max-age=99999999")]), Some(86_400));
        let date = ("date", "Tue, 24 Nov 2026 08:00:00 GMT");
        assert_eq!(of(&[date, ("expires", "Tue, 24 Nov 2026 08:10:00 GMT")]), Some(600));
        // RFC 9111 section 5.3: max-age wins.
        let expires = ("expires", "Tue, 24 Nov 2026 08:10:00 GMT");
        assert_eq!(of(&[date, expires, ("cache-control", "max-age=5")]), Some(5));
    }

    #[test]
    fn a_document_that_says_nothing_or_no_is_not_kept() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("cache-control", "no-store, max-age=3600")]), None);
        assert_eq!(of(&[("cache-control", "max-age=3600"), ("cache-control", "no-cache")]), None);
        assert_eq!(of(&[("cache-control", "max-age=0")]), None);
        assert_eq!(of(&[("cache-control", "max-age=soon")]), None);
        assert_eq!(of(&[("cache-control", "s-maxage=60")]), None);
        assert_eq!(of(&[("expires", "Tue, 24 Nov 2026 08:10:00 GMT")]), None, "without the server's own date");
        let date = ("date", "Tue, 24 Nov 2026 08:00:00 GMT");
        assert_eq!(of(&[date, ("expires", "0")]), None);
    }

    struct Set(AtomicI64);

    impl Clock for Set {
        fn now(&self) -> Now {
            let now = self.0.load(Ordering::SeqCst);
            Now { wall: WallTime(0), boot: BootTime(now) }
        }
    }

    #[tokio::test]
    async fn an_issuer_is_asked_again_when_its_document_has_ended() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (body, counter) = (format!("{{\"issuer\":\"{issuer}\"}}"), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                counter.fetch_add(1, Ordering::SeqCst);
                let head = format!("content-length: {}\r\ncache-control: max-age=60\r\nconnection: close", body.len());
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes()).await;
            }
        });
        let clock = Arc::new(Set(AtomicI64::new(1000)));
        let discovery = Discovery::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let http = Http::new(&Settings::default(), Path::new("config.toml")).unwrap();
        let mut counts = Vec::new();
        for at in [1000, 60_999, 61_000, 61_001] {
            clock.0.store(at, Ordering::SeqCst);
            discovery.metadata(&http, "p", &issuer).await.unwrap();
            counts.push(asked.load(Ordering::SeqCst));
        }
        assert_eq!(counts, [1, 1, 2, 2]);
        discovery.forget();
        discovery.metadata(&http, "p", &issuer).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn no_more_issuers_are_remembered_than_fit() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let origin = base.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().replace("/.well-known/openid-configuration", "");
                let body = format!("{{\"issuer\":\"{origin}{path}\"}}");
                let head = format!("content-length: {}\r\ncache-control: max-age=60\r\nconnection: close", body.len());
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes()).await;
            }
        });
        let discovery = Discovery::new(Arc::new(Set(AtomicI64::new(0))));
        let http = Http::new(&Settings::default(), Path::new("config.toml")).unwrap();
        for number in 0..=MOST {
            discovery.metadata(&http, "p", &format!("{base}/{number}")).await.unwrap();
        }
        assert_eq!(discovery.lock().len(), MOST);
    }
}
