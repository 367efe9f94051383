// Calls a server through the client that openapi-generator makes for Java; prints each step that came out right.

import com.google.gson.JsonParser;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.TasksApi;
import org.openapitools.client.api.WorkersApi;
import org.openapitools.client.model.*;

public class Main {
  public static void main(String[] arguments) throws Exception {
    String server = arguments[0];
    String kind = arguments[1];
    ApiClient client = new ApiClient();
    client.setBasePath(server);
    TasksApi tasks = new TasksApi(client);
    WorkersApi workers = new WorkersApi(client);

    TaskInput one = new TaskInput().name("first").type(kind).payload(Map.of("n", 1));
    Long first = tasks.createTask(new CreateBody(one), null, null).getTaskId();
    step("create", first > 0);

    List<BatchItem> batch =
        List.of(new BatchItem().name("second").type(kind), new BatchItem().name("third").type(kind));
    List<Long> ids = tasks.createTask(new CreateBody(batch), null, null).getTaskIds();
    step("batch", ids.size() == 2);
    Long second = ids.get(0);
    Long third = ids.get(1);

    List<String> types = List.of(kind);
    List<ListedTask> list =
        tasks.listTasks(null, null, null, types, null, null, null, TaskView.FULL, null);
    step("list", list.size() == 3 && list.get(0).getVersion() == 1
        && ((Map<?, ?>) list.get(0).getPayload()).get("n").equals(1.0));

    step("get", tasks.getTask(first, null, null).getName().equals("first"));
    step("wait", tasks.getTask(first, "1ms", null).getStatus() == TaskStatus.PENDING);

    ClaimAnswer claimed = workers.claimTasks(new ClaimRequest().worker("w").types(types).max(3));
    Map<Long, String> tokens = claimed.getTasks().stream()
        .collect(Collectors.toMap(LeasedTask::getId, task -> task.getLease().getToken()));
    step("claim", tokens.size() == 3);

    LeaseReport report = new LeaseReport().id(first).token(tokens.get(first))
        .progress(new ProgressReport().percent(50.5).message("half way"))
        .log(List.of(new LogEntry("half way")));
    HeartbeatAnswer beat = workers.renewLeases(new HeartbeatRequest().worker("w").leases(List.of(report)));
    step("heartbeat", beat.getLeases().get(0).getStatus() == LeaseStatus.OK);

    workers.completeTask(first, new CompleteRequest().token(tokens.get(first)).result(Map.of("n", 1)));
    step("complete", tasks.getTask(first, null, null).getStatus() == TaskStatus.DONE);

    workers.failTask(second, new FailRequest().token(tokens.get(second)).retryable(false));
    step("fail", tasks.getTask(second, null, null).getStatus() == TaskStatus.FAILED);

    EditAnswer edited = tasks.editTask(third, new TaskEdit().name("renamed"), null, null);
    step("patch", edited.getTaskId().equals(third));

    tasks.deleteTask(third, null, null);
    step("delete", true);
    step("404", codeOf(() -> tasks.getTask(third, null, null)).equals("not_found"));
    step("409", codeOf(() -> tasks.cancelTask(first, null, null)).equals("wrong_status"));
  }

  interface Call {
    void run() throws Exception;
  }

  static String codeOf(Call call) throws Exception {
    try {
      call.run();
      return "";
    } catch (ApiException refusal) {
      return JsonParser.parseString(refusal.getResponseBody()).getAsJsonObject().get("code").getAsString();
    }
  }

  static void step(String name, boolean isRight) {
    if (!isRight) {
      throw new AssertionError("wrong: " + name);
    }
    System.out.println("ok " + name);
  }
}
