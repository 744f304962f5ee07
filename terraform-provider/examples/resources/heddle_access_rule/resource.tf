resource "heddle_access_rule" "checkout_may_charge" {
  mesh    = heddle_mesh.prod.name
  service = heddle_service.payments.name
  name    = "checkout-may-charge"
  action  = "allow"

  from = [
    { service = heddle_service.checkout.name },
    { spiffe_prefix = "spiffe://partner.example/batch", networks = ["10.20.0.0/16"] },
  ]

  to = [
    { methods = ["POST"], paths = [{ prefix = "/v1/charges" }], ports = ["http"] },
    {
      methods = ["GET"]
      paths   = [{ template = "/v1/users/{*}/charges" }]
      headers = [{ name = "x-tenant", exact = "eu" }]
    },
  ]

  report_only = false
  expires     = "2027-01-31T00:00:00Z"
  reason      = "PAY-1123"
}
