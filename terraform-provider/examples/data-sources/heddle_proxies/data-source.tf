data "heddle_proxies" "payments" {
  mesh    = heddle_mesh.prod.name
  service = heddle_service.payments.name
}
