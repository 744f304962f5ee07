//! An organisation that asks its members to sign in by its provider.

use reqwest::Method;
use serde_json::json;

use super::{ADA, Scene};
use crate::mail::post;
use crate::second_factors::{enrol, first_step, member, signed, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a09_where_the_provider_is_asked_for_a_password_is_good_for_linking_alone() {
    let scene = Scene::start().await;
    let (ada, anyone) = (&scene.ada, &scene.anyone);
    let beas = member(&scene.stack, "bea@example.com", "admin").await;
    let bea = signed(
        anyone,
        &first_step(anyone, "bea@example.com", &beas)
            .await
            .expect(201),
    );
    let made = bea
        .post("/tokens", json!({"name": "laptop"}))
        .await
        .expect(201);
    let laptop = bea.with_token(text(&made.json["secret"]));

    // Nobody asks for what did not work for themselves.
    let on = json!({"require_sso": true});
    assert_eq!(
        ada.patch("/sign-in-policy", on.clone())
            .await
            .expect(409)
            .json["code"],
        "HED-2107"
    );
    let _ = scene.link(ada, "ada").await.expect(201);
    let by_sso = signed(anyone, &scene.sign_in("ada").await.expect(201));
    let set = by_sso.patch("/sign-in-policy", on).await.expect(200);
    assert_eq!(set.json["require_sso"], true);
    assert_eq!(set.json["members_without_identity"], 1);

    // Sessions that began with a password, before as after, do nothing but link and leave; tokens go on.
    let again = signed(
        anyone,
        &first_step(anyone, "bea@example.com", &beas)
            .await
            .expect(201),
    );
    for api in [&bea, &again, ada] {
        for path in ["/meshes", "/members", "/sessions", "/identities"] {
            assert_eq!(
                api.get(path).await.expect(403).json["code"],
                "HED-2105",
                "{path}"
            );
        }
        let me = api
            .raw(Method::GET, "/v1/whoami", &[], Vec::new())
            .await
            .expect(200);
        assert_eq!(me.json["must_sign_in_by_sso"], true);
        assert_eq!(me.json["permissions"], json!([]));
    }
    let others = bea.delete("/sessions/ses_00000000000000000000000000").await;
    assert_eq!(others.expect(403).json["code"], "HED-2105");
    let _ = laptop.get("/meshes").await.expect(200);
    let _ = scene.link(&again, "bea").await.expect(201);
    let _ = again.delete("/sessions/current").await.expect(204);
    let bea = signed(anyone, &scene.sign_in("bea").await.expect(201));
    let _ = bea.get("/meshes").await.expect(200);

    // Whoever is invited brings no password.
    let invite = json!({"email": "cleo@example.com", "role": "viewer"});
    let _ = bea.post("/invitations", invite).await.expect(201);
    let mail = scene.stack.server.mail_to("cleo@example.com", 0).await;
    let accept = json!({"org": "acme", "secret": mail.secret(), "email": "cleo@example.com", "password": "correct horse battery staple"});
    let refused = post(anyone, "/v1/invitations/acceptances", accept)
        .await
        .expect(403);
    assert_eq!(refused.json["code"], "HED-2105");

    // The way in is not taken away; an owner with a second factor has another one, for when the provider is away.
    assert_eq!(
        by_sso
            .delete("/sso-connections/workforce")
            .await
            .expect(409)
            .json["code"],
        "HED-2108"
    );
    let (mut authenticator, _) = enrol(&by_sso).await;
    let asked = first_step(anyone, ADA, &scene.password).await.expect(401);
    let code = authenticator.code().await;
    let body = json!({"org": "acme", "challenge": asked.json["challenge"], "code": code});
    let entered = post(anyone, "/v1/sessions/second-factors", body)
        .await
        .expect(201);
    let by_password = signed(anyone, &entered);
    let _ = by_password.get("/meshes").await.expect(200);
    let off = by_password
        .patch("/sign-in-policy", json!({"require_sso": false}))
        .await;
    assert_eq!(off.expect(200).json["require_sso"], false);
    let entered = first_step(anyone, "bea@example.com", &beas)
        .await
        .expect(201);
    let _ = signed(anyone, &entered).get("/meshes").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_runs_the_installation_lets_passwords_in_again() {
    let scene = Scene::start().await;
    let _ = scene.link(&scene.ada, "ada").await.expect(201);
    let by_sso = signed(&scene.anyone, &scene.sign_in("ada").await.expect(201));
    let on = json!({"require_sso": true});
    let _ = by_sso.patch("/sign-in-policy", on).await.expect(200);
    let _ = scene.ada.get("/meshes").await.expect(403);
    let said = scene
        .stack
        .server
        .admin(&["org", "allow-passwords", "--org", "acme", "--json"])
        .await;
    assert_eq!(said["require_sso"], false);
    let _ = scene.ada.get("/meshes").await.expect(200);
}
