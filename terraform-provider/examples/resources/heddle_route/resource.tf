resource "heddle_route" "charges" {
  mesh     = heddle_mesh.prod.name
  service  = heddle_service.payments.name
  name     = "charges"
  priority = 100

  match = [
    {
      path    = { prefix = "/v1/charges" }
      methods = ["POST"]
      headers = [{ name = "x-beta", exact = "1" }]
    },
  ]

  backends = [{ version = "v2" }]

  settings = {
    timeout = "2s"
    retries = { attempts = 0 }
  }
}

# Everything else, tried last.
resource "heddle_route" "all" {
  mesh     = heddle_mesh.prod.name
  service  = heddle_service.payments.name
  name     = "all"
  priority = 1000
  backends = [{ version = "v1" }, { version = "v2" }]
}
