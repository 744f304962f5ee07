# <org>/<mesh>/<service>/<access_rule>
terraform import heddle_access_rule.checkout_may_charge acme/prod/payments/checkout-may-charge
