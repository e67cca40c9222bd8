"""What Locust runs as a peer: FastHttpUser without any wait, one GET after another."""

from locust import FastHttpUser, constant, task


class Getter(FastHttpUser):
    """One virtual user."""

    wait_time = constant(0)

    @task
    def get(self) -> None:
        """One request."""
        self.client.get("", name="get")
