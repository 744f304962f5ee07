resource "heddle_mesh" "prod" {
  name         = "prod"
  display_name = "Production"
  labels       = { tier = "1" }

  defaults = {
    timeout = "15s"
    retries = {
      attempts        = 2
      on              = ["connect_failure", "refused_stream", "gateway_error"]
      per_try_timeout = "2s"
    }
  }

  access_default = "deny"

  # Leave this out for a mesh that must not be destroyed by mistake.
  deletion_protection = false
}
