# <org>/<mesh>/<service>/<route>
terraform import heddle_split.all acme/prod/payments/all
