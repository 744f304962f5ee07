resource "heddle_profile" "backend" {
  mesh         = heddle_mesh.prod.name
  name         = "backend"
  display_name = "Back ends"

  settings = {
    timeout = "3s"
    retries = { attempts = 1 }
  }
}

# A service that refers to it.
resource "heddle_service" "ledger" {
  mesh    = heddle_mesh.prod.name
  name    = "ledger"
  profile = heddle_profile.backend.name
  ports   = [{ name = "http", port = 8080, protocol = "http" }]
}
