resource "heddle_service" "checkout" {
  mesh  = heddle_mesh.prod.name
  name  = "checkout"
  ports = [{ name = "http", port = 8080, protocol = "http" }]
}

resource "heddle_service" "payments" {
  mesh         = heddle_mesh.prod.name
  name         = "payments"
  display_name = "Payments"
  labels       = { team = "pay" }
  hostnames    = ["payments.internal"]

  ports = [
    { name = "http", port = 8080, protocol = "http" },
    { name = "grpc", port = 9090, protocol = "grpc" },
    # Called in mutual TLS, also if the mesh says `permissive` while callers move.
    { name = "admin", port = 9100, protocol = "http", mtls = "strict" },
  ]

  # What every caller of payments gets.
  defaults = {
    timeout = "5s"
  }
}
