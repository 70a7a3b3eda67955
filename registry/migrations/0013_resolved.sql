-- What a gateway needs to know of an environment, in one row: tenant, environment, plan, database. The order of the
-- columns is part of it: gateways read them by position. A later version of it gets another name, so that gateways of
-- both versions can run side by side.
CREATE VIEW sys_resolved AS
SELECT o.id AS organization_id, o.slug AS slug, o.name AS name, o.plan AS plan, o.status AS status,
       o.isolation_level AS isolation_level, o.subscription_expires_at AS subscription_expires_at,
       o.max_users AS max_users, o.max_storage_bytes AS max_storage_bytes, o.api_rate_limit AS api_rate_limit,
       o.burst AS burst, o.max_api_calls_per_day AS max_api_calls_per_day,
       o.max_api_calls_per_month AS max_api_calls_per_month, o.max_concurrent_requests AS max_concurrent_requests,
       o.max_objects AS max_objects, o.max_records_per_object AS max_records_per_object,
       o.max_deployments_per_day AS max_deployments_per_day, o.upstreams AS upstreams, o.metadata AS metadata,
       o.security_policy AS security_policy,
       e.id AS environment_id, e.slug AS environment_slug, e.name AS environment_name, e.type AS environment_type,
       e.is_default AS is_default, e.status AS environment_status, e.region AS environment_region,
       e.max_users AS environment_max_users, e.max_storage_bytes AS environment_max_storage_bytes,
       e.api_rate_limit AS environment_api_rate_limit, e.burst AS environment_burst,
       e.max_api_calls_per_day AS environment_max_api_calls_per_day,
       e.max_api_calls_per_month AS environment_max_api_calls_per_month,
       e.max_concurrent_requests AS environment_max_concurrent_requests, e.max_objects AS environment_max_objects,
       e.max_records_per_object AS environment_max_records_per_object,
       e.max_deployments_per_day AS environment_max_deployments_per_day, e.upstreams AS environment_upstreams,
       e.metadata AS environment_metadata,
       p.max_users AS plan_max_users, p.max_storage_bytes AS plan_max_storage_bytes,
       p.api_rate_limit AS plan_api_rate_limit, p.burst AS plan_burst,
       p.max_api_calls_per_day AS plan_max_api_calls_per_day,
       p.max_api_calls_per_month AS plan_max_api_calls_per_month,
       p.max_concurrent_requests AS plan_max_concurrent_requests, p.max_objects AS plan_max_objects,
       p.max_records_per_object AS plan_max_records_per_object,
       p.max_deployments_per_day AS plan_max_deployments_per_day, p.upstreams AS plan_upstreams,
       d.driver AS database_driver, d.name AS database_name, d.schema_name AS database_schema
  FROM sys_environment e
  JOIN sys_organization o ON o.id = e.organization_id
  LEFT JOIN sys_plan p ON p.name = o.plan
  LEFT JOIN sys_environment_database d ON d.environment_id = e.id;
