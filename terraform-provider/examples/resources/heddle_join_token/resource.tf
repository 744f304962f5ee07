resource "heddle_join_token" "payments" {
  mesh       = heddle_mesh.prod.name
  service    = heddle_service.payments.name
  name       = "payments-hosts"
  reusable   = true
  expires_in = "2160h"

  # A new one, in the first run of the last week of the old one.
  rotate_before = "168h"
}
