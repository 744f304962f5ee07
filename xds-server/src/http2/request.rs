//! From the fields of a request to a request.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// The fields as they come.
#[derive(Debug, Default)]
pub(super) struct Fields {
    method: Option<Method>,
    path: Option<Uri>,
    scheme: bool,
    authority: bool,
    /// A field that is no part of the request line has come.
    begun: bool,
    headers: HeaderMap,
    size: usize,
    broken: bool,
    most: usize,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is none.
    Malformed,
    /// Its fields are larger than what was announced.
    TooLarge,
}

/// What belongs to connections of other versions.
const ELSEWHERE: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

impl Fields {
    /// Takes fields of so many bytes in, counted as HTTP/2 counts them.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + 32;
        if self.size > self.most || self.broken {
            return;
        }
        let known = match name {
            [b':', ..] => self.line(name, value),
            _ => self.field(name, value),
        };
        self.broken |= known.is_none();
    }

    fn line(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let again = match name {
            _ if self.begun => true,
            b":method" => self
                .method
                .replace(Method::from_bytes(value).ok()?)
                .is_some(),
            b":path" => self.path.replace(Uri::try_from(value).ok()?).is_some(),
            b":scheme" => std::mem::replace(&mut self.scheme, true),
            b":authority" => std::mem::replace(&mut self.authority, true),
            _ => true,
        };
        (!again).then_some(())
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.begun = true;
        let name = HeaderName::from_lowercase(name).ok()?;
        let value = HeaderValue::from_bytes(value).ok()?;
        let hops = ELSEWHERE.contains(&name.as_str());
        if hops || (name == http::header::TE && value != "trailers") {
            return None;
        }
        self.headers.append(name, value);
        Some(())
    }

    /// What follows the data of a request says nothing that anybody reads.
    pub(super) const fn is_trailer(&self) -> bool {
        let line = self.method.is_some() || self.path.is_some() || self.scheme || self.authority;
        !line && !self.broken
    }

    pub(super) fn finish(self) -> Result<Request<()>, Flaw> {
        if self.size > self.most {
            return Err(Flaw::TooLarge);
        }
        let (Some(method), Some(path), true, false) =
            (self.method, self.path, self.scheme, self.broken)
        else {
            return Err(Flaw::Malformed);
        };
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = path;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: [(&str, &str); 4] = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/a.B/C"),
        (":authority", "x:1"),
    ];

    fn request(fields: &[(&str, &str)]) -> Result<Request<()>, Flaw> {
        let mut all = Fields::new(1_000);
        for (name, value) in fields {
            all.take(name.as_bytes(), value.as_bytes());
        }
        all.finish()
    }

    #[test]
    fn a_request_is_its_fields() {
        let more = [("te", "trailers"), ("x", "1"), ("x", "2")];
        let request = request(&[&LINE[..], &more].concat()).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri().path(), "/a.B/C");
        assert_eq!(request.headers().get_all("x").iter().count(), 2);
    }

    #[test]
    fn what_is_none_is_told_from_what_is_too_much() {
        for wrong in [
            ("X", "1"),
            ("x", "a\nb"),
            ("a b", "1"),
            ("connection", "close"),
            ("te", "gzip"),
            (":path", "/again"),
            (":unknown", ""),
        ] {
            let all = [&LINE[..], &[wrong]].concat();
            assert_eq!(request(&all).unwrap_err(), Flaw::Malformed, "{wrong:?}");
        }
        // The line after a field; a line that lacks something.
        let late = [&[("x", "1")], &LINE[..]].concat();
        assert_eq!(request(&late).unwrap_err(), Flaw::Malformed);
        for missing in 0..3 {
            let mut line = LINE.to_vec();
            line.remove(missing);
            assert_eq!(request(&line).unwrap_err(), Flaw::Malformed);
        }
        let large = "v".repeat(900);
        let all = [&LINE[..], &[("x", &large)]].concat();
        assert_eq!(request(&all).unwrap_err(), Flaw::TooLarge);
    }
}
