"""What both HTTP transports share: the heads of requests that they accept."""
