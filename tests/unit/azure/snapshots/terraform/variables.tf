variable "subscription_id" {
  description = "The Azure subscription that pays."
  type        = string
}

variable "suffix" {
  description = "Makes names of the registry, the namespace and the storage account, which are worldwide, your own."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{3,8}$", var.suffix))
    error_message = "The suffix is 3 to 8 small letters and digits."
  }
}

variable "location" {
  description = "Where everything is."
  type        = string
  default     = "northeurope"
}

variable "group_name" {
  description = "The resource group."
  type        = string
  default     = "podium-wine-cellar-1f"
}

variable "service_bus_tier" {
  description = "Standard takes messages of 256 KB; Premium 1 MB, more quickly, for more money."
  type        = string
  default     = "Standard"

  validation {
    condition     = contains(["Standard", "Premium"], var.service_bus_tier)
    error_message = "The tier is Standard or Premium: Basic has no topics."
  }
}

variable "node_count" {
  description = "Virtual machines of the cluster."
  type        = number
  default     = 2
}

variable "node_size" {
  type    = string
  default = "Standard_D2s_v5"
}

variable "kubernetes_namespace" {
  description = "The Kubernetes namespace of the endpoint."
  type        = string
  default     = "cellar"
}

variable "service_accounts" {
  description = "Who may be the identity in it."
  type        = list(string)
  default     = ["wine-cellar-1f-gateway", "wine-cellar-1f-worker", "wine-cellar-1f-archiver"]
}
