resource "heddle_api_token" "deployer" {
  name            = "deployer-ci"
  service_account = heddle_service_account.deployer.name
  scopes          = ["meshes:read", "config:read", "config:write"]
  meshes          = [heddle_mesh.prod.name]
  expires_in      = "2160h"

  # A new secret, in the first run of the last week of the old one, which then works for two more days.
  rotate_before = "168h"
  overlap       = "48h"
}
