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
  ]

  # What every caller of payments gets.
  defaults = {
    timeout = "5s"
  }
}
