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

/// Variables that become headers of a request. The client panics on one that cannot be a header, which the line break at the end
/// of a mounted secret is enough for.
const fn headers(service: Service) -> &'static [&'static str] {
    match service {
        Service::S3 => &[
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_TOKEN",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
        ],
        Service::Google => &["GOOGLE_BEARER_TOKEN"],
        Service::Azure => &[
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_CLIENT_ID",
            "AZURE_CLIENT_SECRET",
            "AZURE_TENANT_ID",
        ],
    }
}

/// Whether `value` is an address as the client reads it, which is stricter than what browsers take.
fn is_address(value: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    let plain =
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"#?\\\"<>^`{|}".contains(&byte)));
    plain && reqwest::Url::parse(value).is_ok_and(|url| url.has_host())
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
    let bad =
        |name: &str, why: String| Err(StoreError::BadVariable { uri: uri.to_owned(), variable: name.to_owned(), why });
    for name in names {
        match variable(name) {
            None => {}
            Some(value) if value.is_empty() => {
                return bad(name, "is empty; unset it, or set it to the address of the server".to_owned());
            }
            Some(value) if !is_address(&value) => {
                let value = scrub(&value);
                return bad(
                    name,
                    format!(
                        "is {value:?}; set it to the address of the server, with http:// or https:// before it and nothing else around it"
                    ),
                );
            }
            Some(value) if value.starts_with("http:") && !http_allowed => {
                return bad(
                    name,
                    format!("is an address without TLS; set {allow}=true to allow that, or begin it with https://"),
                );
            }
            Some(_) => {}
        }
    }
    for name in headers(service) {
        if variable(name).is_some_and(|value| !value.bytes().all(|byte| byte.is_ascii_graphic())) {
            let why =
                "holds a space, a line break or another character that no request can carry; set it again without it";
            return bad(name, why.to_owned());
        }
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
            ("http://localhost:9000 ", "nothing else around it"),
            ("http:localhost:9000", "http:// or https://"),
            ("http:/localhost:9000", "http:// or https://"),
            ("http://localhost:9000/x y", "http:// or https://"),
            ("http://localhost:9000/#f", "http:// or https://"),
            ("http://localhost:9000", "AWS_ALLOW_HTTP=true"),
        ] {
            let text = said(Service::S3, &[("AWS_ENDPOINT", value)]);
            assert!(text.starts_with("s3://b cannot be reached: AWS_ENDPOINT ") && text.contains(words), "{text}");
        }
        assert!(said(Service::Google, &[("GOOGLE_BASE_URL", "storage")]).contains("GOOGLE_BASE_URL"));
        assert!(said(Service::Azure, &[("AZURE_ENDPOINT", "http://a:1")]).contains("AZURE_ALLOW_HTTP=true"));
        for (service, name) in [
            (Service::S3, "AWS_SECRET_ACCESS_KEY"),
            (Service::S3, "AWS_REGION"),
            (Service::Azure, "AZURE_CLIENT_SECRET"),
        ] {
            let text = said(service, &[(name, "key\n")]);
            assert!(text.contains(name) && text.contains("a line break") && !text.contains("key\n"), "{text}");
        }
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
