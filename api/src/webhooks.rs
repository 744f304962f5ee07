//! The table of contents of webhooks, the schemas of what is answered, and what their messages say.

mod message;

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod::{Delete, Get, Patch, Post};
use utoipa::openapi::{RefOr, Schema};

use crate::accounts::{maybe, maybe_time, meta, object, optional, sent, text, time};
use crate::openapi::{Op, from_json, list_of};
use crate::table::Table;
use crate::v1::webhooks::{self, deliveries};

pub use message::message;

const TAG: &str = "Webhooks";

fn one(schema: &str) -> Option<String> {
    Some(schema.to_owned())
}

/// Adds the operations.
pub(crate) fn operations(table: Table) -> Table {
    let table = table
        .op(Get, webhooks::COLLECTION, Op::new("list_webhooks", "List webhooks, by name", TAG).paged().answer(200, "One page.", one("WebhookList")), webhooks::list)
        .op(Post, webhooks::COLLECTION, Op::new("create_webhook", "Create a webhook", TAG).about("It is told what happens from now on, as [Standard Webhooks](https://www.standardwebhooks.com) says: signed, at least once, and again later when it is not taken. The answer holds the secret that messages are signed with; no later one does, and a dry run shows none. For members it takes one who signed in within the last five minutes.").body("CreateWebhook", webhooks::sample()).tries().once().answer(201, "Created.", one("NewWebhook")), webhooks::create)
        .op(Get, webhooks::ITEM, Op::new("get_webhook", "Read a webhook", TAG).answer(200, "The webhook, without its secret.", one("Webhook")), webhooks::get)
        .op(Patch, webhooks::ITEM, Op::new("patch_webhook", "Change a webhook", TAG).about("A JSON Merge Patch (RFC 7396). One that was switched off, by somebody or because it took nothing for days, is switched on with `enabled`.").patch("Webhook", json!({"enabled": true})).tries().answer(200, "Changed, or equal already.", one("Webhook")), webhooks::patch)
        .op(Delete, webhooks::ITEM, Op::new("delete_webhook", "Delete a webhook", TAG).about("With what is known of its deliveries.").tries().answer(204, "Deleted.", None), webhooks::delete)
        .op(Post, webhooks::ROTATIONS, Op::new("create_webhook_rotation", "Give a webhook a new secret", TAG).about("Messages are signed with the old one as well for `overlap`, so that whoever verifies them can change over.").body("RotateWebhook", webhooks::rotation_sample()).tries().once().answer(201, "Rotated; with the new secret.", one("NewWebhook")), webhooks::rotate);
    table
        .op(Post, deliveries::PINGS, Op::new("create_webhook_ping", "Send a webhook a message that tells nothing", TAG).about("409 (`HED-2110`) for one that is switched off.").body("Empty", json!({})).conflicts().tries().answer(202, "It is sent soon.", one("WebhookDelivery")), deliveries::ping)
        .op(Get, deliveries::COLLECTION, Op::new("list_webhook_deliveries", "List what a webhook was told, newest first", TAG).about("Of the last 30 days.").paged().query("state", "Only those of which this became.").answer(200, "One page.", one("WebhookDeliveryList")), deliveries::list)
        .op(Get, deliveries::ITEM, Op::new("get_webhook_delivery", "Read what became of a message to a webhook", TAG).answer(200, "The delivery.", one("WebhookDelivery")), deliveries::get)
        .op(Post, deliveries::SENDINGS, Op::new("create_webhook_delivery_sending", "Send a message to a webhook again", TAG).about("The same message, whatever became of it before. 409 (`HED-2110`) for a webhook that is switched off.").body("Empty", json!({})).conflicts().tries().answer(202, "It is sent soon.", one("WebhookDelivery")), deliveries::send_again)
}

/// Adds the schemas.
pub(crate) fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
    sent::<webhooks::CreateWebhook>(all);
    sent::<webhooks::PatchWebhook>(all);
    sent::<webhooks::RotateWebhook>(all);
    sent::<webhooks::WebhookTopic>(all);
    for (name, schema) in answers() {
        all.push((name.to_owned(), from_json(schema)));
    }
}

/// What is shown of a webhook.
fn webhook() -> Value {
    json!({
        "name": text("Unique among the organisation's webhooks."),
        "url": text("Where messages are sent."),
        "topics": {"type": "array", "description": "What it is told.", "items": {"type": "string", "enum": ["revision", "audit"]}},
        "enabled": {"type": "boolean", "description": "Whether it is told anything."},
        "disabled_because": {"type": ["string", "null"], "enum": ["by_hand", "failing", "backlog", "gone", null], "description": "Why it is not: somebody wanted it so; it took nothing for five days; it took nothing and 10000 messages waited; it answered 410."},
        "failing_since": maybe_time("Since when nothing was taken."),
        "paused_until": maybe_time("After ten failures in a row nobody tries until then."),
        "meta": meta(json!({"created_by": text("Who made it."), "updated_at": time("When it was changed last."), "previous_secret_until": maybe_time("Until when messages are signed with the secret before this one as well.")})),
    })
}

fn delivery() -> Value {
    let number =
        |about: &str| json!({"type": ["integer", "null"], "minimum": 0, "description": about});
    json!({
        "topic": {"type": "string", "enum": ["revision", "audit", "ping"], "description": "What the message is about."},
        "mesh": maybe("The identifier of the mesh in which that happened."),
        "revision": number("The revision."),
        "state": {"type": "string", "enum": ["pending", "delivered", "failed"], "description": "What became of it. `pending`: it is to be sent, or sent again."},
        "tries": number("How often it was tried since it was last asked for."),
        "next_at": maybe_time("When it is tried next, unless the webhook is paused for longer."),
        "last_try": {
            "type": ["object", "null"],
            "description": "The last try.",
            "properties": {
                "at": time("When."),
                "status": number("The status of the answer."),
                "duration_ms": number("How long it took."),
                "error": maybe("Why there was no answer, or none that counts."),
                "response": maybe("How the answer begins."),
            },
        },
        "meta": meta(json!({})),
    })
}

fn answers() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Webhook",
            object(
                "Where an organisation wants to be told what happens in it.",
                &webhook(),
            ),
        ),
        (
            "NewWebhook",
            optional(
                object(
                    "A webhook, and what its messages are signed with.",
                    &webhook(),
                ),
                "secret",
                text(
                    "What messages are signed with, as libraries of Standard Webhooks take it. Only in this answer, the first time.",
                ),
            ),
        ),
        ("WebhookList", list_of("Webhook")),
        (
            "WebhookDelivery",
            object(
                "A message to a webhook, and what became of it. Its `meta.uid` is the `webhook-id` of the message.",
                &delivery(),
            ),
        ),
        ("WebhookDeliveryList", list_of("WebhookDelivery")),
    ]
}
