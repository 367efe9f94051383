import { useMutation } from "@tanstack/react-query";
import { useErrorWords } from "../ui/states.tsx";
import { toast } from "../ui/toast.tsx";

/** Runs the request of a button and shows an error as a toast: `mutate(() => client.cancel(7))`. */
export function useAction(then: () => unknown) {
  const wordsOf = useErrorWords();
  return useMutation({
    mutationFn: (run: () => Promise<unknown>) => run(),
    onSuccess: then,
    onError: (error) => {
      const { sentence, request } = wordsOf(error);
      toast({ title: sentence, look: "failed", ...(request === null ? {} : { text: request }) });
    },
  });
}
