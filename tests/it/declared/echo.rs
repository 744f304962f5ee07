//! What the user sent comes back unchanged: the order of keys aside, and `null` equal to absent.

use heddle_tests::{ServerOptions, Stack};
use serde_json::{Map, Value, json};

use super::{kinds, sent};

/// Numbers that look random and are the same in every run.
struct Lots(u64);

impl Lots {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn text(&mut self) -> String {
        let letters: Vec<char> = "aZ09 _-./\\\"'{}<>&%$éßñ漢字🧵\u{200d}\t".chars().collect();
        let length = self.below(30);
        (0..length)
            .map(|_| letters[usize::try_from(self.below(letters.len() as u64)).unwrap()])
            .collect()
    }

    fn pairs(&mut self, key: &str) -> Value {
        let mut pairs = Map::new();
        for i in 0..self.below(4) {
            let text = self.text().replace('\t', " ");
            pairs.insert(format!("{key}{i}"), json!(text));
        }
        Value::Object(pairs)
    }

    /// A body with free fields added, some of them `null`, its members in another order.
    fn varied(&mut self, body: &Value) -> Value {
        let mut members: Vec<(String, Value)> =
            body.as_object().unwrap().clone().into_iter().collect();
        for (name, value) in [
            ("labels", self.pairs("l.")),
            ("annotations", self.pairs("any key/")),
            ("display_name", json!(self.text())),
        ] {
            let known = members.iter().any(|(n, _)| n == name) || name != "display_name";
            members.retain(|(n, _)| n != name);
            match self.below(4) {
                0 => {}
                1 if known => members.push((name.to_owned(), Value::Null)),
                _ if known => members.push((name.to_owned(), value)),
                _ => {}
            }
        }
        for i in (1..members.len()).rev() {
            let j = usize::try_from(self.below(i as u64 + 1)).unwrap();
            members.swap(i, j);
        }
        Value::Object(members.into_iter().collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_is_what_is_read() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let mut lots = Lots(7);
    let samples = [
        json!({"defaults": {"timeout": "1000ms", "retries": {"attempts": 0, "on": ["reset", "connect_failure"], "per_try_timeout": null}}, "unknown_hosts": "bad_gateway"}),
        json!({"ports": [{"protocol": "grpc", "port": 9, "name": "z"}, {"name": "a", "port": 1, "protocol": "http"}], "hostnames": ["b.internal", "a.internal"], "defaults": {}}),
        json!({"priority": 0, "backends": [{"service": "payments"}, {"version": "v1"}], "match": [{"path": {"prefix": "/é".replace('é', "e")}, "headers": [{"name": "x", "exact": "1"}]}], "settings": {"timeout": "0.5s"}}),
        json!({"weights": [{"weight": 0, "version": "v2"}, {"version": "v1", "weight": 10000}]}),
        json!({"action": "allow", "from": [{"service": "payments"}, {"spiffe": "spiffe://td/x"}], "reason": null}),
    ];
    for round in 0..20 {
        for ((_, item, body), sample) in kinds().iter().zip(&samples) {
            let body = lots.varied(if round % 2 == 0 { body } else { sample });
            let put = api.put(item, body.clone()).await;
            assert!(put.status < 300, "{item} {body}: {}", put.text);
            assert_eq!(sent(&put.json), body, "{item} answered");
            let read = api.get(item).await.expect(200);
            assert_eq!(sent(&read.json), body, "{item} read");
            // As text too, but for the order of keys.
            let again = api.put(item, read.json.clone()).await.expect(200);
            assert_eq!(again.etag, put.etag, "{item} changed by being read");
        }
    }
}
