# The same as the Bicep files make. No secret is made or given out: every right is a role of an identity.

terraform {
  required_version = ">= 1.5"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.20" # before 4.9 a container could not be made without a key
    }
  }
}

provider "azurerm" {
  subscription_id     = var.subscription_id
  storage_use_azuread = true

  features {
    storage {
      data_plane_available = false # all is made by the resource manager: who applies needs no role for data
    }
  }
}

locals {
  topic = "@topic@" # what Podium looks for
}

resource "azurerm_resource_group" "podium" {
  name     = var.group_name
  location = var.location
}

# --- images ---

resource "azurerm_container_registry" "images" {
  name                = "podium${var.suffix}"
  resource_group_name = azurerm_resource_group.podium.name
  location            = azurerm_resource_group.podium.location
  sku                 = "Basic"
  admin_enabled       = false
}

# --- the cluster, which may pull them ---

resource "azurerm_kubernetes_cluster" "podium" {
  name                      = "podium-@name@"
  resource_group_name       = azurerm_resource_group.podium.name
  location                  = azurerm_resource_group.podium.location
  dns_prefix                = "podium-${var.suffix}"
  oidc_issuer_enabled       = true
  workload_identity_enabled = true

  default_node_pool {
    name       = "system"
    node_count = var.node_count
    vm_size    = var.node_size
  }

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_role_assignment" "pull" {
  scope                = azurerm_container_registry.images.id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_kubernetes_cluster.podium.kubelet_identity[0].object_id
}

# --- the stream ---

resource "azurerm_servicebus_namespace" "stream" {
  name                         = "podium-${var.suffix}"
  resource_group_name          = azurerm_resource_group.podium.name
  location                     = azurerm_resource_group.podium.location
  sku                          = var.service_bus_tier
  capacity                     = var.service_bus_tier == "Premium" ? 1 : 0
  premium_messaging_partitions = var.service_bus_tier == "Premium" ? 1 : 0
  local_auth_enabled           = false
}

resource "azurerm_servicebus_topic" "endpoint" {
  name                  = local.topic
  namespace_id          = azurerm_servicebus_namespace.stream.id
  support_ordering      = true
  partitioning_enabled  = false
  max_size_in_megabytes = 5120
}

# --- the archive and the policies ---

resource "azurerm_storage_account" "archive" {
  name                            = "podium${var.suffix}"
  resource_group_name             = azurerm_resource_group.podium.name
  location                        = azurerm_resource_group.podium.location
  account_kind                    = "StorageV2"
  account_tier                    = "Standard"
  account_replication_type        = "LRS"
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  shared_access_key_enabled       = false
}

resource "azurerm_storage_container" "archive" {
  name               = "archive"
  storage_account_id = azurerm_storage_account.archive.id
}

# --- who the pods are ---

resource "azurerm_user_assigned_identity" "podium" {
  name                = "podium-@name@"
  resource_group_name = azurerm_resource_group.podium.name
  location            = azurerm_resource_group.podium.location
}

resource "azurerm_federated_identity_credential" "pods" {
  for_each            = toset(var.service_accounts)
  name                = each.value
  resource_group_name = azurerm_resource_group.podium.name
  parent_id           = azurerm_user_assigned_identity.podium.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = azurerm_kubernetes_cluster.podium.oidc_issuer_url
  subject             = "system:serviceaccount:${var.kubernetes_namespace}:${each.value}"
}

resource "azurerm_role_assignment" "stream" {
  scope                = azurerm_servicebus_namespace.stream.id
  role_definition_name = "Azure Service Bus Data Owner"
  principal_id         = azurerm_user_assigned_identity.podium.principal_id
}

resource "azurerm_role_assignment" "blobs" {
  scope                = azurerm_storage_account.archive.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.podium.principal_id
}

resource "azurerm_role_assignment" "tables" {
  scope                = azurerm_storage_account.archive.id
  role_definition_name = "Storage Table Data Contributor"
  principal_id         = azurerm_user_assigned_identity.podium.principal_id
}
