resource "heddle_access_rule" "checkout_may_charge" {
  mesh    = heddle_mesh.prod.name
  service = heddle_service.payments.name
  name    = "checkout-may-charge"
  action  = "allow"

  from = [
    { service = heddle_service.checkout.name },
    { spiffe = "spiffe://partner.example/app" },
  ]

  to     = [{ methods = ["POST"], paths = [{ prefix = "/v1/charges" }] }]
  reason = "PAY-1123"
}
