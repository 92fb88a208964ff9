//! The addresses of servers that the environment names. They are checked before the client reads them: it panics on a text
//! that is no address, and tells one without TLS only as a request that could not be built.

use crate::StoreError;
use crate::error::scrub;
use crate::uri::Service;

/// By service: the names of the variable for another server, and the one that allows it to be without TLS.
const fn variables(service: Service) -> (&'static [&'static str], &'static str) {
    match service {
        Service::S3 => (&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"], "AWS_ALLOW_HTTP"),
        Service::Google => (&["GOOGLE_BASE_URL"], "GOOGLE_ALLOW_HTTP"),
        Service::Azure => (&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"], "AZURE_ALLOW_HTTP"),
    }
}

/// Checks what `variable` gives for the names of `service`, for the store at `uri`.
///
/// # Errors
/// [`StoreError::BadVariable`].
pub(crate) fn verify(service: Service, uri: &str, variable: impl Fn(&str) -> Option<String>) -> Result<(), StoreError> {
    let (names, allow) = variables(service);
    // As the client reads it.
    let yes = ["1", "true", "on", "yes", "y"];
    let http_allowed = variable(allow).is_some_and(|value| yes.contains(&value.to_ascii_lowercase().as_str()));
    for name in names {
        let Some(value) = variable(name) else { continue };
        let why = match reqwest::Url::parse(&value) {
            _ if value.is_empty() => "is empty; unset it, or set it to the address of the server".to_owned(),
            Ok(url) if url.scheme() == "http" && url.has_host() && !http_allowed => {
                format!("is an address without TLS; set {allow}=true to allow that, or begin it with https://")
            }
            Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => continue,
            _ => format!(
                "is {:?}; set it to the address of the server with http:// or https:// before it",
                scrub(&value)
            ),
        };
        return Err(StoreError::BadVariable { uri: uri.to_owned(), variable: (*name).to_owned(), why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(service: Service, set: &[(&str, &str)]) -> String {
        let variable = |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        verify(service, "s3://b", variable).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_variable() {
        for (value, words) in [
            ("localhost:9000", "http:// or https://"),
            ("10.0.0.7:9000", "http:// or https://"),
            ("", "is empty"),
            ("https://", "http:// or https://"),
            ("s3.example.org", "http:// or https://"),
            ("ftp://s3.example.org", "http:// or https://"),
            ("http://localhost:9000", "AWS_ALLOW_HTTP=true"),
        ] {
            let text = said(Service::S3, &[("AWS_ENDPOINT", value)]);
            assert!(text.starts_with("s3://b cannot be reached: AWS_ENDPOINT ") && text.contains(words), "{text}");
        }
        assert!(said(Service::Google, &[("GOOGLE_BASE_URL", "storage")]).contains("GOOGLE_BASE_URL"));
        assert!(said(Service::Azure, &[("AZURE_ENDPOINT", "http://a:1")]).contains("AZURE_ALLOW_HTTP=true"));
        let secret = said(Service::S3, &[("AWS_ENDPOINT", "ftp://me:pw@host")]);
        assert!(!secret.contains("pw"), "{secret}");
    }

    #[test]
    fn addresses_pass() {
        for set in [
            &[][..],
            &[("AWS_ENDPOINT", "https://s3.example.org")],
            &[("AWS_ENDPOINT_URL", "http://[::1]:9000/x"), ("AWS_ALLOW_HTTP", "True")],
        ] {
            assert_eq!(said(Service::S3, set), "");
        }
    }
}
