//! What the guide says about verifying messages, executed as it stands there.

use std::process::Stdio;

use heddle_tests::repository;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Message;

/// The program of the guide.
fn program() -> String {
    let guide = repository().join("docs/guides/webhooks.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once("```python\n").unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// Calls it as a web server would: what it says.
async fn say(message: &Message, secret: &str) -> String {
    let headers = serde_json::to_string(&message.headers).unwrap();
    let call = format!(
        "{}\nimport json, os, sys\ntry:\n    verify(os.environ['SECRET'], json.loads(os.environ['HEADERS']), sys.stdin.buffer.read())\n    \
         print('verified')\nexcept ValueError as error:\n    print(error)\n",
        program()
    );
    let mut child = Command::new("python3")
        .args(["-c", &call])
        .env("SECRET", secret)
        .env("HEADERS", headers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(message.body.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The message is from whoever has the secret.
pub(super) async fn verified(message: &Message, secret: &str) {
    assert_eq!(say(message, secret).await, "verified");
}

/// It is not, and this is why.
pub(super) async fn refused(message: &Message, secret: &str, why: &str) {
    assert_eq!(say(message, secret).await, why);
}
