// The resource group of an endpoint, and all that is in it.
//   az deployment sub create --location LOCATION --template-file main.bicep --parameters suffix=SUFFIX
targetScope = 'subscription'

@description('Where everything is.')
param location string = '@location@'

@description('3 to 8 small letters and digits: makes names of the registry, the namespace and the storage account, which are worldwide, your own.')
@minLength(3)
@maxLength(8)
param suffix string

@description('The resource group.')
param groupName string = 'podium-@name@'

@description('Standard takes messages of 256 KB; Premium 1 MB, more quickly, for more money.')
@allowed(['Standard', 'Premium'])
param serviceBusTier string = 'Standard'

@description('Virtual machines of the cluster.')
@minValue(1)
param nodeCount int = 2

param nodeSize string = 'Standard_D2s_v5'

@description('The Kubernetes namespace of the endpoint.')
param kubernetesNamespace string = '@namespace@'

@description('Who may be the identity in it.')
param serviceAccounts array = [
  '@name@-gateway'
  '@name@-worker'
  '@name@-archiver'
]

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: groupName
  location: location
}

module resources 'resources.bicep' = {
  name: 'podium'
  scope: group
  params: {
    location: location
    suffix: suffix
    serviceBusTier: serviceBusTier
    nodeCount: nodeCount
    nodeSize: nodeSize
    kubernetesNamespace: kubernetesNamespace
    serviceAccounts: serviceAccounts
  }
}

output registry string = resources.outputs.registry
output cluster string = resources.outputs.cluster
output stream string = resources.outputs.stream
output archive string = resources.outputs.archive
output identityClientId string = resources.outputs.identityClientId
